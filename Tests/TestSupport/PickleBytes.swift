/// Pickles, instruction by instruction, as right or as wrong as a test wants them.
public enum PickleBytes {
    /// The beginning of a pickle.
    public static func proto(_ version: UInt8 = 2) -> [UInt8] { [0x80, version] }
    /// The end.
    public static let stop: [UInt8] = [UInt8(ascii: ".")]
    /// None.
    public static let none: [UInt8] = [UInt8(ascii: "N")]
    /// The call of a function with a tuple.
    public static let reduce: [UInt8] = [UInt8(ascii: "R")]
    /// The storage of a persistent id.
    public static let persistentID: [UInt8] = [UInt8(ascii: "Q")]

    /// A whole pickle of one value.
    public static func pickle(_ value: [UInt8]) -> [UInt8] { proto() + value + stop }

    /// A text.
    public static func text(_ text: String) -> [UInt8] {
        [UInt8(ascii: "X")] + littleEndian(UInt32(text.utf8.count)) + Array(text.utf8)
    }

    /// A whole number of any size.
    public static func int(_ value: Int) -> [UInt8] { [0x8A, 8] + littleEndian(value) }

    /// A global by its module and name, as protocols 2 and 3 write it.
    public static func global(_ module: String, _ name: String) -> [UInt8] {
        [UInt8(ascii: "c")] + Array("\(module)\n\(name)\n".utf8)
    }

    /// A tuple.
    public static func tuple(_ items: [[UInt8]]) -> [UInt8] {
        [UInt8(ascii: "(")] + items.flatMap { $0 } + [UInt8(ascii: "t")]
    }

    /// A list.
    public static func list(_ items: [[UInt8]]) -> [UInt8] {
        Array("](".utf8) + items.flatMap { $0 } + [UInt8(ascii: "e")]
    }

    /// A dictionary.
    public static func dictionary(_ members: [(key: [UInt8], value: [UInt8])]) -> [UInt8] {
        Array("}(".utf8) + members.flatMap { $0.key + $0.value } + [UInt8(ascii: "u")]
    }

    /// A dictionary with names.
    public static func named(_ members: [(String, [UInt8])]) -> [UInt8] {
        dictionary(members.map { (key: text($0.0), value: $0.1) })
    }

    /// A storage.
    public static func storage(_ type: String = "FloatStorage", key: String = "0", count: Int = 4) -> [UInt8] {
        tuple([text("storage"), global("torch", type), text(key), text("cpu"), int(count)]) + persistentID
    }

    /// A tensor over a storage.
    public static func tensor(
        _ storage: [UInt8] = storage(), offset: Int = 0, shape: [Int] = [2, 2], strides: [Int] = [2, 1]
    ) -> [UInt8] {
        global("torch._utils", "_rebuild_tensor_v2")
            + tuple([
                storage, int(offset), tuple(shape.map(int)), tuple(strides.map(int)), [0x89],
                global("collections", "OrderedDict") + tuple([]) + reduce,
            ]) + reduce
    }
}
