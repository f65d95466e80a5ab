internal import Formats

/// What the header of a safetensors file says, before it is held against the file.
///
/// Headers of 100,000 tensors exist, so it is read without a tree of values. What the official library accepts is accepted
/// and what it refuses is refused, with three exceptions:
/// - A name that stands twice is refused, in `__metadata__` too: the library takes the later one, other readers the first.
/// - A tensor is an object, and its dtype a string: the library's decoder takes an array of the three values too.
/// - A dimension is below 2^63, also where another one is 0.
struct SafetensorsHeader {
    /// One tensor as the header describes it.
    struct Entry {
        let name: String
        var dtype: DType?
        /// The dtype's name when there is no such type; `nil` when no text stands there.
        var unknownType: String?
        /// `nil` when no array of whole numbers stands there.
        var shape: [Int]?
        /// `nil` when no two whole numbers in order stand there.
        var range: Range<Int>?
    }

    /// `__metadata__`, when it is there.
    private(set) var metadata: JSONObject?
    /// The tensors, in the order of the header.
    private(set) var entries: [Entry] = []
    /// Space for numbers that is used again for every array.
    private var numbers: [Int] = []
    private var hasMetadata = false

    /// Reads a header.
    init(_ bytes: UnsafeRawBufferPointer) throws(JSONError) {
        var scanner = JSONScanner(bytes: bytes)
        scanner.skipSpace()
        guard scanner.isNext(UInt8(ascii: "{")) else { throw scanner.error("not a JSON object") }
        try scanner.members { (name, scanner) throws(JSONError) in try readMember(name, &scanner) }
        scanner.skipSpace()
        guard scanner.atEnd else { throw scanner.error("text after the end of the value") }
    }

    private mutating func readMember(_ name: String, _ scanner: inout JSONScanner) throws(JSONError) {
        guard name == "__metadata__" else { return try readTensor(name, &scanner) }
        if hasMetadata { throw scanner.error("__metadata__ stands twice") }
        hasMetadata = true
        if try !scanner.takeNull() { metadata = try SafetensorsHeader.metadata(&scanner) }
    }

    private static func metadata(_ scanner: inout JSONScanner) throws(JSONError) -> JSONObject {
        var object = JSONObject()
        guard scanner.isNext(UInt8(ascii: "{")) else {
            throw scanner.error("__metadata__ is not a map from text to text")
        }
        try scanner.members { (key, scanner) throws(JSONError) in
            let start = scanner.position
            guard let text = try scanner.stringOrSkip(depth: 2) else {
                throw scanner.error("__metadata__ is not a map from text to text", at: start)
            }
            guard object.append(key, .string(text)) else {
                throw scanner.error("the key '\(key)' stands twice in one object", at: start)
            }
        }
        return object
    }

    private mutating func readTensor(_ name: String, _ scanner: inout JSONScanner) throws(JSONError) {
        var entry = Entry(name: name)
        defer { entries.append(entry) }
        guard scanner.isNext(UInt8(ascii: "{")) else { return try scanner.skip(depth: 1) }
        var seen: UInt8 = 0
        try scanner.members { (key, scanner) throws(JSONError) in
            let member: UInt8 = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0
            guard seen & member == 0 else { throw scanner.error("'\(key)' stands twice in '\(name)'") }
            seen |= member
            switch member {
            case 1:
                guard let text = try scanner.stringOrSkip(depth: 2) else { return }
                // Most tensors have the type of the one before.
                if let last = entries.last?.dtype, last.name == text {
                    entry.dtype = last
                } else {
                    entry.dtype = DType(safetensors: text)
                    if entry.dtype == nil { entry.unknownType = text }
                }
            case 2: if try scanner.wholeNumbersOrSkip(depth: 2, into: &numbers) { entry.shape = Array(numbers) }
            case 4:
                if try scanner.wholeNumbersOrSkip(depth: 2, into: &numbers), numbers.count == 2,
                    numbers[0] <= numbers[1]
                {
                    entry.range = numbers[0]..<numbers[1]
                }
            default: try scanner.skip(depth: 2)
            }
        }
    }
}
