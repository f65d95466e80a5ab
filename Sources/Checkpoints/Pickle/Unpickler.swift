internal import Formats

/// An interpreter for pickles that can only build plain values, storages and tensors.
///
/// It cannot run, load or open anything: names outside `PickleGlobal` are refused where they occur, and the few that
/// can be called are cases in `Unpickler+Calls`.
struct Unpickler {
    /// Whether the pickle may refer to storages.
    enum Storages {
        case allowed, forbidden
    }

    private static let maximumMemo = 1 << 20

    var cursor: ByteCursor
    let storages: Storages
    var pickle = Pickle()
    /// The index of a storage, by its key.
    var storageNumbers: [ExactString: Int] = [:]
    private var stack: [PickleValues.ID] = []
    /// Heights of the stack: values below the last mark are out of reach until it is popped.
    private var marks: [Int] = []
    private var memo: [UInt32: PickleValues.ID] = [:]
    /// Where the instruction that runs begins.
    private var opcodeOffset = 0

    /// Follows a pickle to its end.
    ///
    /// - Returns: the contents of the pickle, and the cursor behind it.
    static func run(
        _ cursor: ByteCursor, storages: Storages
    ) throws(CheckpointError) -> (pickle: Pickle, cursor: ByteCursor) {
        var machine = Unpickler(cursor: cursor, storages: storages)
        while try machine.step() {}
        return (machine.pickle, machine.cursor)
    }

    private init(cursor: ByteCursor, storages: Storages) {
        self.cursor = cursor
        self.storages = storages
    }

    /// An error at the instruction that runs.
    func error(_ problem: String, hint: String? = nil) -> CheckpointError {
        cursor.error("the pickle " + problem, at: opcodeOffset, hint: hint)
    }

    /// The next instruction, which must be one that is understood.
    mutating func next() throws(CheckpointError) -> PickleOpcode {
        opcodeOffset = cursor.position
        let code = try cursor.integer(UInt8.self, "an instruction")
        guard let opcode = PickleOpcode(rawValue: code) else {
            let digits = String(code, radix: 16)
            throw error("has the instruction 0x\(digits.count < 2 ? "0" : "")\(digits), which is refused")
        }
        return opcode
    }

    // MARK: the stack

    /// Puts a new value on the stack.
    mutating func push(_ value: PickleValues.Value) throws(CheckpointError) {
        guard let id = pickle.values.add(value) else { throw tooMuch }
        stack.append(id)
    }

    /// Puts a new tuple on the stack.
    mutating func pushTuple(_ items: ArraySlice<PickleValues.ID>) throws(CheckpointError) {
        guard let id = pickle.values.addTuple(items) else { throw tooMuch }
        stack.append(id)
    }

    /// Puts a value of the table on the stack again.
    mutating func push(id: PickleValues.ID) { stack.append(id) }

    /// The value on top.
    func top() throws(CheckpointError) -> PickleValues.ID {
        guard stack.count > marks.last ?? 0, let id = stack.last else {
            throw error("pops an empty stack")
        }
        return id
    }

    /// Pops a value.
    mutating func pop() throws(CheckpointError) -> PickleValues.ID {
        let id = try top()
        stack.removeLast()
        return id
    }

    /// Pops `count` values.
    mutating func pop(_ count: Int) throws(CheckpointError) -> ArraySlice<PickleValues.ID> {
        guard stack.count - (marks.last ?? 0) >= count else { throw error("pops an empty stack") }
        // With a slice, the next change of the stack would copy all of it.
        let items = Array(stack.suffix(count))
        stack.removeLast(count)
        return items[...]
    }

    /// Remembers the height of the stack.
    mutating func mark() { marks.append(stack.count) }

    /// Pops everything above the last mark.
    mutating func popToMark() throws(CheckpointError) -> ArraySlice<PickleValues.ID> {
        guard let height = marks.popLast() else { throw error("has an end without a beginning") }
        return try pop(stack.count - height)
    }

    /// Adds to a list or a dictionary.
    mutating func append(_ items: ArraySlice<PickleValues.ID>, to id: PickleValues.ID) throws(CheckpointError) {
        guard pickle.values.append(items, to: id) else { throw tooMuch }
    }

    /// The single value on the stack at the end.
    mutating func finish() throws(CheckpointError) {
        pickle.root = try pop()
        guard stack.isEmpty, marks.isEmpty else { throw error("ends with values that belong to nothing") }
    }

    private var tooMuch: CheckpointError {
        error("has more values, or deeper ones, than a checkpoint needs")
    }

    // MARK: the memo

    /// Remembers the value on top under a number.
    mutating func remember(_ number: UInt32) throws(CheckpointError) {
        memo[number] = try top()
        guard memo.count <= Unpickler.maximumMemo else { throw tooMuch }
    }

    /// Remembers the value on top under the next number.
    mutating func rememberNext() throws(CheckpointError) { try remember(UInt32(memo.count)) }

    /// Puts a remembered value on the stack.
    mutating func recall(_ number: UInt32) throws(CheckpointError) {
        guard let id = memo[number] else { throw error("recalls the value \(number.grouped), which does not exist") }
        stack.append(id)
    }
}
