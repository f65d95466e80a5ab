internal import Formats

extension Unpickler {
    /// Follows one instruction.
    ///
    /// - Returns: false after the last one.
    mutating func step() throws(CheckpointError) -> Bool {
        switch try next() {
        case .proto:
            let version = try cursor.integer(UInt8.self, "an instruction")
            guard 2...5 ~= version else { throw error("has the protocol \(version); 2 to 5 are read") }
        case .frame: _ = try cursor.integer(UInt64.self, "an instruction")
        case .stop:
            try finish()
            return false

        case .mark: mark()
        case .pop: _ = try pop()
        case .popMark: _ = try popToMark()
        case .dup: push(id: try top())

        case .none: try push(.none)
        case .newTrue: try push(.bool(true))
        case .newFalse: try push(.bool(false))
        case .binInt: try push(.int(Int(try cursor.integer(Int32.self, "an instruction"))))
        case .binInt1: try push(.int(Int(try cursor.integer(UInt8.self, "an instruction"))))
        case .binInt2: try push(.int(Int(try cursor.integer(UInt16.self, "an instruction"))))
        case .long1: try push(long(try take(UInt8.self)))
        case .long4: try push(long(try take(UInt32.self)))
        case .binFloat:
            _ = try cursor.integer(UInt64.self, "an instruction")
            try push(.float)

        case .shortBinString, .shortBinUnicode: try push(.text(try take(UInt8.self)))
        case .binString, .binUnicode: try push(.text(try take(UInt32.self)))
        case .binUnicode8: try push(.text(try take(UInt64.self)))
        case .shortBinBytes: try pushBytes(UInt8.self)
        case .binBytes: try pushBytes(UInt32.self)
        case .binBytes8: try pushBytes(UInt64.self)

        case .emptyTuple: try pushTuple([])
        case .tuple: try pushTuple(try popToMark())
        case .tuple1: try pushTuple(try pop(1))
        case .tuple2: try pushTuple(try pop(2))
        case .tuple3: try pushTuple(try pop(3))
        case .emptyList: try push(.list([]))
        case .append: try appendToList(try pop(1))
        case .appends: try appendToList(try popToMark())
        case .emptyDictionary: try push(.dictionary([]))
        case .setItem: try appendToDictionary(try pop(2))
        case .setItems: try appendToDictionary(try popToMark())

        case .binGet: try recall(UInt32(try cursor.integer(UInt8.self, "an instruction")))
        case .longBinGet: try recall(try cursor.integer(UInt32.self, "an instruction"))
        case .binPut: try remember(UInt32(try cursor.integer(UInt8.self, "an instruction")))
        case .longBinPut: try remember(try cursor.integer(UInt32.self, "an instruction"))
        case .memoize: try rememberNext()

        case .global: try push(.global(try global(module: try cursor.line(), name: try cursor.line())))
        case .stackGlobal:
            let (name, module) = (try pop(), try pop())
            guard case .text(let module) = pickle.values[module], case .text(let name) = pickle.values[name] else {
                throw error("names a global by a value that is not a string")
            }
            try push(.global(try global(module: module, name: name)))
        case .inst:
            let global = try global(module: try cursor.line(), name: try cursor.line())
            throw error("makes an instance of '\(global.name)', which is refused")
        case .reduce:
            let (arguments, function) = (try pop(), try pop())
            try call(function, arguments)
        case .newObject:
            let (arguments, type) = (try pop(), try pop())
            guard case .global(.orderedDict) = pickle.values[type] else {
                throw error("makes an instance of \(pickle.values[type].kind), which is refused")
            }
            try call(type, arguments)
        case .build:
            // Attributes of a dictionary, such as the versions of modules, are not needed.
            let (_, object) = (try pop(), try top())
            guard case .dictionary = pickle.values[object] else {
                throw error("sets attributes of \(pickle.values[object].kind), which is refused")
            }
        case .binPersistentID: try pushStorage(try pop())
        }
        return true
    }

    /// The range of bytes with a length prefix.
    private mutating func take<Length: FixedWidthInteger & UnsignedInteger>(
        _ type: Length.Type
    ) throws(CheckpointError) -> PickleSpan {
        try cursor.span(try cursor.integer(Length.self, "an instruction"))
    }

    private mutating func pushBytes<Length: FixedWidthInteger & UnsignedInteger>(
        _ type: Length.Type
    ) throws(CheckpointError) {
        _ = try take(type)
        try push(.bytes)
    }

    /// A whole number in two's complement, least significant byte first.
    private func long(_ span: PickleSpan) -> PickleValues.Value {
        let bytes = cursor[span]
        guard bytes.count <= 8 else { return .long(span) }
        var value = (bytes.last ?? 0) & 0x80 == 0 ? 0 : -1
        for byte in bytes.reversed() { value = value << 8 | Int(byte) }  // fits: 8 bytes
        return .int(value)
    }

    private mutating func appendToList(_ items: ArraySlice<PickleValues.ID>) throws(CheckpointError) {
        let list = try top()
        guard case .list = pickle.values[list] else {
            throw error("appends to \(pickle.values[list].kind), which is refused")
        }
        try append(items, to: list)
    }

    private mutating func appendToDictionary(_ items: ArraySlice<PickleValues.ID>) throws(CheckpointError) {
        let dictionary = try top()
        guard case .dictionary = pickle.values[dictionary] else {
            throw error("sets members of \(pickle.values[dictionary].kind), which is refused")
        }
        guard items.count % 2 == 0 else { throw error("has a key without a value") }
        try append(items, to: dictionary)
    }

    /// A name that may be mentioned.
    private func global(module: PickleSpan, name: PickleSpan) throws(CheckpointError) -> PickleGlobal {
        if let global = PickleGlobal(module: cursor[module], name: cursor[name]) { return global }
        let text = [module, name].map { String(decoding: cursor[$0].prefix(100), as: UTF8.self) }
        throw CheckpointError(
            file: cursor.path, byteOffset: cursor.start + Int(module.offset),  // fits: a position in the file
            "refuses global '\(text[0]).\(text[1])'",
            hint: "resect reads tensors in standard containers and runs no code from a checkpoint")
    }
}
