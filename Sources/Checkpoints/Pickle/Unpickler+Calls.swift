internal import Formats

extension Unpickler {
    /// The most dimensions that a tensor has here.
    static let maximumRank = 16

    /// Puts on the stack what a call of a known function would return. Nothing is run.
    mutating func call(_ function: PickleValues.ID, _ arguments: PickleValues.ID) throws(CheckpointError) {
        guard case .global(let global) = pickle.values[function] else {
            throw error("calls \(pickle.values[function].kind), which is refused")
        }
        guard let items = pickle.values.tuple(arguments) else {
            throw error("calls '\(global.name)' with \(pickle.values[arguments].kind)")
        }
        try call(global, Array(items.prefix(8)), count: items.count)
    }

    private mutating func call(
        _ global: PickleGlobal, _ items: [PickleValues.ID], count: Int
    ) throws(CheckpointError) {
        let wrong = error("calls '\(global.name)' with arguments that it does not have")
        switch global {
        case .orderedDict: try makeDictionary(items, count: count)
        case .size:
            guard count == 1, pickle.numbers(items[0], limit: Unpickler.maximumRank) != nil else { throw wrong }
            push(id: items[0])
        case .rebuildTensor:
            guard count == 4 else { throw wrong }
            try makeTensor(items, dtype: nil)
        case .rebuildTensor2:
            guard count == 6 || count == 7 else { throw wrong }
            try refuseMetadata(items.dropFirst(6).first)
            try makeTensor(items, dtype: nil)
        case .rebuildTensor3:
            guard count == 7 || count == 8, case .global(let type) = pickle.values[items[6]], let dtype = type.dtype
            else { throw wrong }
            try refuseMetadata(items.dropFirst(7).first)
            try makeTensor(items, dtype: dtype)
        case .rebuildParameter, .rebuildParameterWithState:
            guard count == (global == .rebuildParameter ? 3 : 4), case .tensor = pickle.values[items[0]] else {
                throw wrong
            }
            push(id: items[0])
        case .rebuildFromType2:
            // A parameter with attributes: only its tensor matters.
            guard count == 4, case .global(let function) = pickle.values[items[0]],
                function == .rebuildTensor2 || function == .rebuildTensor3 || function == .rebuildParameter,
                case .global(.parameter) = pickle.values[items[1]], let inner = pickle.values.tuple(items[2])
            else { throw wrong }
            try call(function, Array(inner.prefix(8)), count: inner.count)
        default: throw error("calls '\(global.name)', which is refused")
        }
    }

    /// An ordered dictionary: empty, or of the pairs that Python 2 lists.
    private mutating func makeDictionary(_ items: [PickleValues.ID], count: Int) throws(CheckpointError) {
        let wrong = error("makes a dictionary from a value that is not a list of pairs")
        try push(.dictionary([]))
        if count == 0 { return }
        guard count == 1, case .list(let pairs) = pickle.values[items[0]] else { throw wrong }
        let dictionary = try top()
        for pair in pairs {
            let members: ArraySlice<PickleValues.ID>
            switch pickle.values[pair] {
            case .tuple(let start, let count): members = pickle.values.items(start: start, count: count)
            case .list(let list): members = list[...]
            default: throw wrong
            }
            guard members.count == 2 else { throw wrong }
            try append(members, to: dictionary)
        }
    }

    /// Refuses a tensor with metadata: conjugate and negative views.
    private func refuseMetadata(_ id: PickleValues.ID?) throws(CheckpointError) {
        guard let id else { return }
        switch pickle.values[id] {
        case .none: return
        case .dictionary(let members) where members.isEmpty: return
        default: throw error("has a tensor with metadata (a conjugate or negative view), which is not read")
        }
    }

    /// A tensor over a storage: storage, offset, shape, strides.
    private mutating func makeTensor(_ items: [PickleValues.ID], dtype: DType?) throws(CheckpointError) {
        guard case .storage(let number) = pickle.values[items[0]] else {
            throw error("makes a tensor of \(pickle.values[items[0]].kind), not of a storage")
        }
        guard let offset = pickle.values.int(items[1]),
            let shape = pickle.numbers(items[2], limit: Unpickler.maximumRank),
            let strides = pickle.numbers(items[3], limit: Unpickler.maximumRank),
            shape.count == strides.count, offset >= 0, (shape + strides).allSatisfy({ $0 >= 0 })
        else {
            throw error(
                "makes a tensor whose offset, shape and strides are not non-negative integers in at most "
                    + "\(Unpickler.maximumRank) dimensions")
        }
        guard let dtype = dtype ?? pickle.storages[Int(number)].dtype else {
            throw error("makes a tensor of a storage without a type")
        }
        try push(.tensor(UInt32(pickle.tensors.count)))
        pickle.tensors.append(
            .init(storage: Int(number), dtype: dtype, offset: offset, shape: items[2], strides: items[3]))
    }

    /// A storage by its persistent id.
    mutating func pushStorage(_ id: PickleValues.ID) throws(CheckpointError) {
        guard storages == .allowed else { throw error("names a storage where there is none") }
        guard let items = pickle.values.tuple(id).map(Array.init), items.count == 5 || items.count == 6,
            case .text(let word) = pickle.values[items[0]], cursor[word].elementsEqual("storage".utf8),
            case .global(let type) = pickle.values[items[1]], type.isStorage,
            case .text(let key) = pickle.values[items[2]], let count = pickle.values.int(items[4]), count >= 0
        else { throw error("has a persistent id that is not a storage") }
        if items.count == 6 {
            guard case .none = pickle.values[items[5]] else {
                throw error("has a view of a storage, which is not read")
            }
        }
        let storage = Pickle.Storage(key: try cursor.text(key), dtype: type.storageType, count: count)
        if let number = storageNumbers[ExactString(storage.key)] {
            let first = pickle.storages[number]
            guard first.dtype == storage.dtype, first.count == storage.count else {
                throw error("names the storage '\(storage.key)' twice, with different types or sizes")
            }
            return try push(.storage(UInt32(number)))
        }
        storageNumbers[ExactString(storage.key)] = pickle.storages.count
        try push(.storage(UInt32(pickle.storages.count)))
        pickle.storages.append(storage)
    }
}
