import Checkpoints
import TestSupport
import Testing

@Suite("pickles")
struct PickleTests {
    private typealias P = PickleBytes

    /// A file whose pickle is this, over a storage of 16 bytes.
    private static func file(_ pickle: [UInt8]) -> [UInt8] {
        ZipBytes(pickle: pickle, storages: [("0", Array(0..<16))]).bytes
    }

    private static func value(_ value: [UInt8]) -> [UInt8] { file(P.pickle(value)) }

    private static func call(_ global: [UInt8], _ arguments: [[UInt8]]) -> [UInt8] {
        global + P.tuple(arguments) + P.reduce
    }

    private static func named(_ name: String, _ pickle: [UInt8], _ message: String) -> Hostile {
        Hostile(name, file(pickle), message)
    }

    private static func short(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) }

    private static func stackGlobal(_ module: String, _ name: String) -> [UInt8] {
        short(module) + short(name) + [0x93]
    }

    /// Names that load or run something, or lead to what does.
    static let globals = [
        ("posix", "system"), ("nt", "system"), ("os", "system"), ("os", "popen"), ("subprocess", "Popen"),
        ("subprocess", "check_output"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
        ("builtins", "__import__"), ("builtins", "compile"), ("builtins", "open"), ("__builtin__", "eval"),
        ("builtins", "set"), ("torch", "load"), ("torch.serialization", "load"), ("torch.storage", "_load_from_bytes"),
        ("torch.hub", "load"), ("torch._utils", "_rebuild_qtensor"), ("torch._utils", "_rebuild_sparse_tensor"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__.__getitem__"),
        ("torch", "_utils._rebuild_tensor_v2"), ("torch._utils._rebuild_tensor_v2", ""),
        ("torch", "nn.parameter.Parameter"),
        ("torch", "FloatStorage.__init__"), ("torch", "jit.load"), ("torch._dynamo.guards", "GuardBuilder.get"),
        ("numpy.core.multiarray", "scalar"), ("numpy.core.multiarray", "_reconstruct"), ("numpy", "dtype"),
        ("numpy._core.multiarray", "scalar"), ("_codecs", "encode"), ("codecs", "decode"), ("pickle", "loads"),
        ("collections", "Counter"), ("collections", "orderedDict"), ("Collections", "OrderedDict"),
        (" collections", "OrderedDict"), ("collections", "OrderedDict "), ("collections.abc", "OrderedDict"),
        ("", "OrderedDict"), ("argparse", "Namespace"), ("importlib", "import_module"), ("runpy", "run_path"),
        ("webbrowser", "open"), ("pip", "main"), ("timeit", "timeit"), ("functools", "partial"),
        ("operator", "attrgetter"), ("torch", "device"), ("torch.ComplexDoubleStorage", ""), ("torch", "QInt8Storage"),
        ("torch.fx", "GraphModule"), ("lib2to3.pgen2.grammar", "Grammar.loads"),
    ]

    @Test("a name that is not on the list is refused by it, in every form that names it", arguments: globals)
    func refusedGlobal(module: String, name: String) {
        let message = "refuses global '\(module).\(name)'"
        let call = P.tuple([P.text("touch /tmp/owned")]) + P.reduce
        PickleTests.named("GLOBAL", P.pickle(P.global(module, name) + call), message).expectRefusal(fileName: "a.bin")
        PickleTests.named("STACK_GLOBAL", P.pickle(PickleTests.stackGlobal(module, name) + call), message)
            .expectRefusal(fileName: "a.bin")
        let inst = Array("(".utf8) + P.text("touch") + Array("i\(module)\n\(name)\n".utf8)
        PickleTests.named("INST", P.pickle(inst), message).expectRefusal(fileName: "a.bin")
        // The older form, in each of its pickles.
        let magic: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
        let system = P.pickle(P.named([("little_endian", [0x88])]))
        let evil = P.pickle(P.global(module, name) + call)
        for start in [[], magic, magic + P.pickle(P.int(1001)), magic + P.pickle(P.int(1001)) + system] {
            Hostile("older", start + evil, message).expectRefusal(fileName: "a.bin")
        }
    }

    static let hostile: [Hostile] = [
        named("nothing", [], "an instruction needs 1 bytes; the pickle has 0 more"),
        named("no value", P.proto() + P.stop, "pops an empty stack"),
        named("two values", P.proto() + P.none + P.none + P.stop, "ends with values that belong to nothing"),
        named("a mark that is left", P.proto() + Array("(N.".utf8), "ends with values that belong to nothing"),
        named("bytes after the end", P.pickle(P.none) + [0], "has 1 bytes after its end"),
        named("protocol 0", Array("(lp0\n.".utf8), "has the instruction 0x6c, which is refused"),
        named("protocol 6", P.proto(6) + P.none + P.stop, "has the protocol 6; 2 to 5 are read"),
        named("EXT1", P.pickle([0x82, 1]), "has the instruction 0x82, which is refused"),
        named("EXT2", P.pickle([0x83, 1, 0]), "has the instruction 0x83, which is refused"),
        named("EXT4", P.pickle([0x84, 1, 0, 0, 0]), "has the instruction 0x84, which is refused"),
        named(
            "OBJ", P.pickle(Array("(".utf8) + P.global("torch", "Size") + Array("o".utf8)), "has the instruction 0x6f"),
        named("INST of a known name", P.pickle(Array("(itorch\nSize\n".utf8)), "makes an instance of 'torch.Size'"),
        named("NEWOBJ_EX", P.pickle([0x92]), "has the instruction 0x92"),
        named("a buffer outside", P.pickle([0x97]), "has the instruction 0x97"),
        named("a persistent id in text", P.pickle(Array("P0\n".utf8)), "has the instruction 0x50"),
        named(
            "a persistent id that is a path", P.pickle(P.text("/etc/passwd") + P.persistentID), "that is not a storage"),
        named(
            "a persistent id of another kind",
            P.pickle(
                P.tuple([P.text("module"), P.none, P.text("0"), P.text("a.py"), P.text("import os")]) + P.persistentID),
            "has a persistent id that is not a storage"),
        named("a storage of -1 elements", P.pickle(P.storage(count: -1)), "has a persistent id that is not a storage"),
        named(
            "a storage of no storage class", P.pickle(P.storage("Size")), "has a persistent id that is not a storage"),
        named(
            "a storage in two types", P.pickle(P.tuple([P.storage(), P.storage("IntStorage")])),
            "names the storage '0' twice, with different types or sizes"),
        named(
            "a storage in two sizes", P.pickle(P.tuple([P.storage(), P.storage(count: 3)])),
            "names the storage '0' twice, with different types or sizes"),
        named(
            "a text that is cut off", P.proto() + [UInt8(ascii: "X"), 9, 0, 0, 0, 65],
            "a value needs 9 bytes; the pickle has 1 more"),
        named(
            "a text of 2^64 bytes", P.proto() + [0x8D] + littleEndian(UInt64.max),
            "needs 18,446,744,073,709,551,615 bytes; the pickle has 0 more"),
        named("a number of 2^31 bytes", P.proto() + [0x8B, 0, 0, 0, 0x80], "needs 2,147,483,648 bytes"),
        named(
            "a name without end", P.proto() + [UInt8(ascii: "c")] + Array(repeating: 65, count: 5000),
            "has a name of more than 256 bytes"),
        named("a name on the stack that is no text", P.pickle(P.none + P.none + [0x93]), "names a global by a value"),
        named("an unknown memory", P.pickle([UInt8(ascii: "h"), 7]), "recalls the value 7, which does not exist"),
        named("a tuple of nothing", P.pickle([0x86]), "pops an empty stack"),
        named("a value below a mark", P.pickle(P.none + Array("(".utf8) + [0x85]), "pops an empty stack"),
        named("an end without a beginning", P.pickle(Array("t".utf8)), "has an end without a beginning"),
        // Instructions on values of another type.
        named(
            "a member of a storage", P.pickle(P.storage() + P.none + P.none + Array("s".utf8)),
            "sets members of a storage"),
        named("members of a tensor", P.pickle(P.tensor() + Array("(NNu".utf8)), "sets members of a tensor"),
        named("members of a list", P.pickle(P.list([]) + Array("(NNu".utf8)), "sets members of a list"),
        named("an item of a tuple", P.pickle(P.tuple([]) + Array("Na".utf8)), "appends to a tuple"),
        named("items of a dictionary", P.pickle(P.named([]) + Array("(Ne".utf8)), "appends to a dictionary"),
        named("items of a global", P.pickle(P.global("torch", "Size") + Array("(Ne".utf8)), "appends to 'torch.Size'"),
        named(
            "attributes of a tensor", P.pickle(P.tensor() + P.named([]) + Array("b".utf8)),
            "sets attributes of a tensor"),
        named(
            "attributes of a global", P.pickle(P.global("torch", "Size") + P.named([]) + Array("b".utf8)),
            "sets attributes of 'torch.Size'"),
        named("a key without a value", P.pickle(Array("}(Nu".utf8)), "has a key without a value"),
        named("a call of a text", P.pickle(call(P.text("os.system"), [])), "calls a text, which is refused"),
        named(
            "a call of a storage class", P.pickle(call(P.global("torch", "FloatStorage"), [P.int(9)])),
            "which is refused"),
        named(
            "a call of a type", P.pickle(call(P.global("torch", "float32"), [])),
            "calls 'torch.float32', which is refused"),
        named("a call with no tuple", P.pickle(P.global("torch", "Size") + P.none + P.reduce), "with None"),
        named(
            "an instance of a class", P.pickle(P.global("torch", "Size") + P.tuple([]) + [0x81]), "makes an instance of"
        ),
        named(
            "a size of texts", P.pickle(call(P.global("torch", "Size"), [P.tuple([P.text("1")])])),
            "that it does not have"),
        named(
            "a dictionary of a text", P.pickle(call(P.global("collections", "OrderedDict"), [P.text("ab")])),
            "makes a dictionary from a value that is not a list of pairs"),
        named(
            "a parameter of no tensor",
            P.pickle(call(P.global("torch._utils", "_rebuild_parameter"), [P.none, P.none, P.none])),
            "calls 'torch._utils._rebuild_parameter' with arguments"),
        named(
            "a type that calls itself",
            P.pickle(
                call(
                    P.global("torch._tensor", "_rebuild_from_type_v2"),
                    [
                        P.global("torch._tensor", "_rebuild_from_type_v2"), P.global("torch.nn.parameter", "Parameter"),
                        P.tuple([]), P.none,
                    ])), "with arguments that it does not have"),
        named("a tensor of a text", P.pickle(P.tensor(P.text("0"))), "makes a tensor of a text, not of a storage"),
        named("an offset of -1", P.pickle(P.tensor(offset: -1)), "are not non-negative integers"),
        named("a dimension of -1", P.pickle(P.tensor(shape: [-1, 2])), "are not non-negative integers"),
        named("a stride of -1", P.pickle(P.tensor(strides: [-1, 1])), "are not non-negative integers"),
        named("a stride too few", P.pickle(P.tensor(strides: [1])), "are not non-negative integers"),
        named(
            "seventeen dimensions",
            P.pickle(P.tensor(shape: Array(repeating: 1, count: 17), strides: Array(repeating: 1, count: 17))),
            "in at most 16 dimensions"),
        // What the pickle holds in the end.
        named("a text", P.pickle(P.text("a")), "holds a text, not a map from names to tensors"),
        named("one tensor", P.pickle(P.tensor()), "holds a tensor, not a map from names to tensors"),
        named("no tensors", P.pickle(P.named([("a", P.none), ("b", P.int(1))])), "its keys are 'a', 'b'"),
        named("tensors too deep", P.pickle(P.named([("x", P.named([("a", P.tensor())]))])), "its keys are 'x'"),
        named("an empty dictionary", P.pickle(P.named([])), "its keys are none"),
        named(
            "two models",
            P.pickle(P.named([("model", P.named([("a", P.tensor())])), ("module", P.named([("a", P.tensor())]))])),
            "has several maps of tensors: model, module"),
        named("a name twice", P.pickle(P.named([("a", P.tensor()), ("a", P.tensor())])), "tensor 'a' is there twice"),
        named(
            "a number for a name", P.pickle(P.dictionary([(key: P.int(0), value: P.tensor())])), "under a whole number"),
        named(
            "a name that is not UTF-8",
            P.pickle(P.dictionary([(key: [UInt8(ascii: "X"), 1, 0, 0, 0, 0xFF], value: P.tensor())])),
            "a text that is not UTF-8"),
        // Views that leave their storage.
        named(
            "a view that is too long", P.pickle(P.named([("a", P.tensor(shape: [2, 3]))])),
            "leaves its storage '0' of 4"),
        named(
            "a view that starts too far", P.pickle(P.named([("a", P.tensor(offset: 1))])), "leaves its storage '0' of 4"
        ),
        named(
            "a view that steps too far", P.pickle(P.named([("a", P.tensor(strides: [4, 1]))])), "leaves its storage '0'"
        ),
        named(
            "a view whose steps wrap", P.pickle(P.named([("a", P.tensor(strides: [.max, .max]))])),
            "leaves its storage '0'"),
        named(
            "an offset that wraps", P.pickle(P.named([("a", P.tensor(offset: .max, strides: [1, 1]))])),
            "leaves its storage"),
        named(
            "a shape whose product wraps",
            P.pickle(P.named([("a", P.tensor(shape: [1 << 62, 4], strides: [0, 0]))])), "cannot have the shape"),
        named(
            "a repeated element of 1 TiB", P.pickle(P.named([("a", P.tensor(shape: [1 << 38], strides: [0]))])),
            "repeats elements to 1,099,511,627,776 bytes, more than the whole file of"),
        named(
            "a storage that is not there", P.pickle(P.named([("a", P.tensor(P.storage(key: "1")))])),
            "has no record for the storage '1'"),
        named(
            "a storage outside the archive", P.pickle(P.named([("a", P.tensor(P.storage(key: "../../x")))])),
            "has no record for the storage '../../x'"),
        named(
            "a storage that says too much", P.pickle(P.named([("a", P.tensor(P.storage(count: 5)))])),
            "the storage '0' of 5 elements of 4 bytes does not fit its 16 bytes"),
        named(
            "a storage that says too little",
            P.pickle(P.named([("a", P.tensor(P.storage(count: 3), shape: [1], strides: [1]))])),
            "the storage '0' of 3 elements of 4 bytes does not fit its 16 bytes"),
        named(
            "a storage whose bytes wrap", P.pickle(P.named([("a", P.tensor(P.storage(count: 1 << 62)))])),
            "does not fit its 16 bytes"),
    ]

    @Test("a pickle that lies, or does more than build plain values, is refused", arguments: hostile)
    func refused(file: Hostile) { file.expectRefusal(fileName: "a.bin") }

    @Test(
        "nesting without end is refused on a small stack",
        arguments: [
            Array(repeating: UInt8(ascii: "]"), count: 50_000) + Array(repeating: UInt8(ascii: "a"), count: 49_999),
            P.none + Array(repeating: 0x85, count: 50_000),
            Array(repeating: P.text("a"), count: 50_000).reduce(into: [UInt8(ascii: "}")]) {
                $0 += $1 + [UInt8(ascii: "}")]
            }
                + Array(repeating: UInt8(ascii: "s"), count: 50_000),
        ])
    func nesting(value: [UInt8]) {
        let file = Hostile("deep", PickleTests.value(value), "has more values, or deeper ones, than a checkpoint needs")
        onSmallStack { file.expectRefusal(fileName: "a.bin") }
    }

    @Test("a list that holds itself does no harm")
    func cycle() {
        Hostile("cycle", PickleTests.value(Array("]q\u{0}h\u{0}a".utf8)), "holds a list").expectRefusal(
            fileName: "a.bin")
    }

    @Test("doubling by recalling values is refused before it takes memory")
    func bomb() {
        // Each round makes a list of twice as many members; values are references, so only the members count.
        var value = P.list([P.none])
        for _ in 0..<60 { value += Array("q\u{0}]h\u{0}h\u{0}\u{86}".utf8.filter { $0 != 0xC2 }) + [0x61] }
        PickleTests.named("bomb", P.proto() + value + P.stop, "").expectRefusal(fileName: "a.bin")
        // A long tuple in many dictionaries.
        let pair = P.tuple([P.none, P.none])
        let pairs = P.list(Array(repeating: pair, count: 5000)) + [UInt8(ascii: "q"), 0]
        let dictionary = P.global("collections", "OrderedDict") + [UInt8(ascii: "h"), 0, 0x85] + P.reduce
        let many = P.list(Array(repeating: dictionary, count: 5000))
        PickleTests.named("pairs", P.pickle(P.tuple([pairs, many])), "has more values").expectRefusal(fileName: "a.bin")
    }

    @Test("the newer protocols are read")
    func protocols() throws {
        for version: UInt8 in 2...5 {
            let pickle = P.proto(version) + P.named([("a", P.tensor())]) + P.stop
            let folder = TemporaryFolder()
            let checkpoint = try Checkpoint.open(folder.write("a.bin", PickleTests.file(pickle)))
            #expect(try Contents(checkpoint).tensors == ["a F32 [2, 2]"])
        }
    }
}
