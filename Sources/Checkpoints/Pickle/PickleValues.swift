internal import Formats

/// A table of the values that a pickle builds.
///
/// A container holds the indices of its values, not the values: a value that is used many times is not copied, and
/// releasing the table does not recurse, at any depth of nesting.
struct PickleValues {
    /// The index of a value in the table.
    typealias ID = UInt32

    /// A value.
    enum Value {
        case none
        case bool(Bool)
        case int(Int)
        /// A whole number beyond 64 bits, as its bytes.
        case long(PickleSpan)
        case float
        case text(PickleSpan)
        case bytes
        /// The indices of its values are a range of `tupleItems`.
        case tuple(start: UInt32, count: UInt32)
        case list([ID])
        /// Keys and values alternate, in order.
        case dictionary([ID])
        case global(PickleGlobal)
        /// The index in the pickle's storages.
        case storage(UInt32)
        /// The index in the pickle's tensors.
        case tensor(UInt32)

        /// What messages call it.
        var kind: String {
            switch self {
            case .none: "None"
            case .bool: "a truth value"
            case .int, .long: "a whole number"
            case .float: "a number"
            case .text: "a text"
            case .bytes: "bytes"
            case .tuple: "a tuple"
            case .list: "a list"
            case .dictionary: "a dictionary"
            case .global(let global): "'\(global.name)'"
            case .storage: "a storage"
            case .tensor: "a tensor"
            }
        }
    }

    /// The most values in a pickle; a tensor takes about 25.
    private static let maximumCount = 1 << 20
    /// The most members of all containers together.
    private static let maximumItems = 1 << 22
    private static let maximumDepth: UInt8 = 128

    private var table: [Value] = []
    private var depths: [UInt8] = []
    private var tupleItems: [ID] = []
    private var itemCount = 0

    /// How many values there are.
    var count: Int { table.count }

    /// The value of that number.
    subscript(_ id: ID) -> Value { table[Int(id)] }

    /// The members of a tuple.
    func items(start: UInt32, count: UInt32) -> ArraySlice<ID> { tupleItems[Int(start)..<Int(start) + Int(count)] }

    /// The members of a tuple; `nil` for any other value.
    func tuple(_ id: ID) -> ArraySlice<ID>? {
        if case .tuple(let start, let count) = self[id] { items(start: start, count: count) } else { nil }
    }

    /// A whole number; `nil` for any other value.
    func int(_ id: ID) -> Int? { if case .int(let value) = self[id] { value } else { nil } }

    /// Adds a value that has no members; `nil` when there are too many.
    mutating func add(_ value: Value) -> ID? {
        guard table.count < PickleValues.maximumCount else { return nil }
        table.append(value)
        depths.append(0)
        return ID(table.count - 1)
    }

    /// Adds a tuple; `nil` when there are too many values, or they are nested too deep.
    mutating func addTuple(_ items: ArraySlice<ID>) -> ID? {
        guard table.count < PickleValues.maximumCount, let depth = depth(over: items), count(items) else { return nil }
        table.append(.tuple(start: ID(tupleItems.count), count: ID(items.count)))
        tupleItems += items
        depths.append(depth)
        return ID(table.count - 1)
    }

    /// Adds members to a list or a dictionary; false when there are too many values, or they are nested too deep.
    ///
    /// - Precondition: it is a list or a dictionary.
    mutating func append(_ items: ArraySlice<ID>, to id: ID) -> Bool {
        guard let depth = depth(over: items), count(items) else { return false }
        depths[Int(id)] = max(depths[Int(id)], depth)
        // Move the array out of the table meanwhile, so that it is not copied.
        let value = table[Int(id)]
        table[Int(id)] = .none
        switch value {
        case .list(var list):
            list += items
            table[Int(id)] = .list(list)
        case .dictionary(var members):
            members += items
            table[Int(id)] = .dictionary(members)
        default: preconditionFailure("\(value.kind) has no members")
        }
        return true
    }

    private func depth(over items: ArraySlice<ID>) -> UInt8? {
        let depth = (items.lazy.map { self.depths[Int($0)] }.max() ?? 0) + 1
        return depth > PickleValues.maximumDepth ? nil : depth
    }

    private mutating func count(_ items: ArraySlice<ID>) -> Bool {
        itemCount += items.count
        return itemCount <= PickleValues.maximumItems
    }
}

/// The contents of a pickle: its values, and the storages and tensors among them.
struct Pickle {
    /// A storage as the pickle names it, not yet checked against the file.
    struct Storage {
        let key: String
        /// The type of the elements; `nil` when the storage is counted in bytes.
        let dtype: DType?
        let count: Int
    }

    /// A tensor as the pickle describes it, not yet checked against its storage.
    struct TensorView {
        let storage: Int
        let dtype: DType
        let offset: Int
        /// Shape and strides: tuples of integers of equal length.
        let shape: PickleValues.ID
        let strides: PickleValues.ID
    }

    var values = PickleValues()
    var storages: [Storage] = []
    var tensors: [TensorView] = []
    var root: PickleValues.ID = 0

    /// The integers of a tuple; `nil` for any other value, or when there are too many.
    func numbers(_ id: PickleValues.ID, limit: Int) -> [Int]? {
        guard let items = values.tuple(id), items.count <= limit else { return nil }
        let numbers = items.compactMap { values.int($0) }
        return numbers.count == items.count ? numbers : nil
    }
}
