import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("verifying")
struct VerificationTests {
    /// The fixture as GGUF, written once for all tests.
    private static func gguf(_ folder: TemporaryFolder, _ dtype: DType? = nil) throws -> Checkpoint {
        let converted = try Convert(to: .gguf, dtype: dtype).apply(to: Models.fixture())
        return try CheckpointWriter(threads: 2).write(OutputPlan(converted), to: folder("m.gguf"))
    }

    private static func tensor(_ name: String, _ dtype: DType, _ values: [Float]) -> Tensor {
        let bytes: [UInt8]
        switch dtype {
        case .f32: bytes = littleEndian(values)
        case .bf16: bytes = values.flatMap { littleEndian(UInt16($0.bitPattern >> 16)) }
        default: bytes = values.flatMap { littleEndian(Float16($0).bitPattern) }
        }
        return Tensor(name: name, dtype: dtype, shape: [values.count], recipe: .computed(GivenBytes(bytes: bytes)))
    }

    private static func checkpoint(_ tensors: Tensor...) throws -> Checkpoint {
        var checkpoint = try Models.fixture()
        checkpoint.tensors = tensors
        return checkpoint
    }

    private static func findings(_ result: Verification) -> [String] {
        result.findings.map { "\($0.name): \($0.problem)" }.sorted()
    }

    @Test("a folder and its GGUF hold the same, in either direction, by tensors and by manifests")
    func acrossContainers() throws {
        let folder = TemporaryFolder()
        let model = try Models.fixture()
        let gguf = try VerificationTests.gguf(folder)
        let results = [
            try Verification(gguf, against: model, threads: 2), try Verification(model, against: gguf, threads: 1),
            try Verification(gguf, against: Manifest(model, threads: 2), threads: 2),
            try Verification(model, against: Manifest(gguf, threads: 2), threads: 3),
        ]
        for result in results {
            #expect(VerificationTests.findings(result) == [])
            // 12 layers with 2 norms each, and the last one, are F32 in GGUF.
            #expect(result.sameValues == 25 && result.sameBytes == 85)
        }
    }

    @Test("a quantized folder and the GGUF with its codes hold the same values")
    func acrossQuantizedContainers() throws {
        let packed = try QuantizeFolder(.mxfp4).apply(to: Models.fixture())
        let gguf = try Convert(to: .gguf, keepsBlocks: true).apply(to: packed)
        for result in [
            try Verification(gguf, against: packed, threads: 2), try Verification(packed, against: gguf, threads: 1),
        ] {
            #expect(VerificationTests.findings(result) == [])
            // 7 weights in each of 12 layers are decoded, and 25 norms are F32 in GGUF.
            #expect(result.sameValues == 84 + 25 && result.sameBytes == 1)
        }
        var other = gguf
        let index = try #require(other.tensors.firstIndex { $0.name == "blk.3.ffn_down.weight" })
        other.tensors[index] = Tensor(
            name: "blk.3.ffn_down.weight", dtype: gguf.tensors[index].dtype, shape: gguf.tensors[index].shape,
            recipe: .computed(EqualBytes(byte: 0x11)))
        let result = try Verification(other, against: packed, threads: 2)
        #expect(VerificationTests.findings(result) == ["model.layers.3.mlp.down_proj.weight: holds other values"])
    }

    @Test("weights and their scales in tensors of their own are compared as one")
    func besideScales() throws {
        let packed = try QuantizeFolder(.nvfp4).apply(to: Models.fixture())
        let gguf = try Convert(to: .gguf, keepsBlocks: true).apply(to: packed)
        #expect(gguf.tensors.contains { $0.name == "blk.0.ffn_up.scale" })
        let result = try Verification(gguf, against: packed, threads: 2)
        // The scale of a whole weight divides in a folder and multiplies in GGUF, so values may differ in the last bit.
        #expect(result.count == 110 && result.findings.allSatisfy { $0.problem == "holds other values" })
        let difference = try CheckpointDifference(from: gguf, to: packed, threads: 2)
        #expect(difference.changed.allSatisfy { ($0.distance?.maxAbs ?? 1) < 1e-6 })
    }

    @Test("a manifest without one of the names says why they were not translated")
    func untranslated() throws {
        let folder = TemporaryFolder()
        let manifest = try Manifest(VerificationTests.gguf(folder), threads: 2)
        var model = try Models.fixture()
        #expect(try Verification(model, against: manifest, threads: 2).untranslated == nil)
        model.architecture = nil
        let result = try Verification(model, against: manifest, threads: 2)
        #expect(result.untranslated?.problem.contains("so its tensors cannot be renamed") == true)
        #expect(result.sameBytes == 0)
    }

    @Test("a GGUF in F32 holds the values of the folder in BF16")
    func widened() throws {
        let folder = TemporaryFolder()
        let model = try Models.fixture()
        let gguf = try VerificationTests.gguf(folder, .f32)
        #expect(try Verification(gguf, against: model, threads: 2).sameValues == 110)
        #expect(try Verification(gguf, against: Manifest(model, threads: 2), threads: 2).sameValues == 110)
        #expect(try Verification(model, against: Manifest(gguf, threads: 2), threads: 2).sameValues == 110)
    }

    @Test("one flipped bit names the one tensor that has it", arguments: 1...8)
    func corrupted(seed: UInt64) throws {
        let folder = TemporaryFolder()
        var generator = SeededGenerator(seed: seed)
        let gguf = try VerificationTests.gguf(folder)
        let manifest = try Manifest(gguf, threads: 2)
        let victim = try #require(gguf.tensors.randomElement(using: &generator))
        let range = try #require(victim.recipe.mappedRange)
        var bytes = Files.read(folder("m.gguf"))
        bytes[range.byteOffset + Int.random(in: 0..<range.byteCount, using: &generator)] ^=
            1 << UInt8.random(in: 0..<8, using: &generator)
        let broken = try Checkpoint.open(folder.write("broken.gguf", bytes))
        #expect(
            VerificationTests.findings(try Verification(broken, against: manifest, threads: 2))
                == ["\(victim.name): holds other values"])
        #expect(
            VerificationTests.findings(try Verification(broken, against: gguf, threads: 2))
                == ["\(victim.name): holds other values"])
        #expect(try Verification(broken, against: Models.fixture(), threads: 2).findings.count == 1)
    }

    @Test("what is missing, new, or of another shape or type is said")
    func findings() throws {
        let values: [Float] = [1, 2, 3, 4]
        let one = try VerificationTests.checkpoint(
            VerificationTests.tensor("a", .f32, values), VerificationTests.tensor("b", .f32, values),
            Models.zeros("c", [2, 3]), Models.zeros("d", [2, 32], .q8_0))
        let other = try VerificationTests.checkpoint(
            VerificationTests.tensor("a", .f32, values), Models.zeros("c", [3, 2]), Models.zeros("d", [2, 32], .f16),
            VerificationTests.tensor("e", .f32, values))
        let expected = [
            "b: is not expected", "c: has the shape [2, 3]; expected [3, 2]", "e: is missing",
        ]
        // Zeros are zeros in any type, as values; hashes cannot see through a quantization.
        #expect(VerificationTests.findings(try Verification(one, against: other, threads: 2)) == expected)
        #expect(
            VerificationTests.findings(
                try Verification(one, against: Manifest(other, threads: 1), threads: 2))
                == expected[..<2] + ["d: has the type Q8_0; expected F16"] + expected[2...])
    }

    @Test("values that a narrower type rounds are other values")
    func rounded() throws {
        let exact: [Float] = [1, -2.5, 0, -0.0, .infinity], rounded: [Float] = [1, -2.5, 0, -0.0, 1.000_000_1]
        for dtype in [DType.bf16, .f16] {
            let narrow = try VerificationTests.checkpoint(VerificationTests.tensor("a", dtype, exact))
            let wide = try VerificationTests.checkpoint(VerificationTests.tensor("a", .f32, exact))
            #expect(try Verification(wide, against: narrow, threads: 1).sameValues == 1)
            #expect(try Verification(wide, against: Manifest(narrow, threads: 1), threads: 1).sameValues == 1)
            let near = try VerificationTests.checkpoint(
                VerificationTests.tensor("a", dtype, rounded.map { $0 == 1.000_000_1 ? 1 : $0 }))
            let off = try VerificationTests.checkpoint(VerificationTests.tensor("a", .f32, rounded))
            #expect(!(try Verification(off, against: near, threads: 1).isEqual))
            #expect(!(try Verification(off, against: Manifest(near, threads: 1), threads: 1).isEqual))
        }
    }

    @Test("zeros of two signs are two values, and not a number is itself in every type")
    func signs() throws {
        let nan = try VerificationTests.checkpoint(VerificationTests.tensor("a", .f32, [.nan, 1]))
        let narrow = try VerificationTests.checkpoint(VerificationTests.tensor("a", .bf16, [.nan, 1]))
        #expect(try Verification(nan, against: narrow, threads: 1).isEqual)
        #expect(try Verification(nan, against: nan, threads: 1).sameBytes == 1)
        let zero = try VerificationTests.checkpoint(VerificationTests.tensor("a", .f32, [0, 1]))
        let negative = try VerificationTests.checkpoint(VerificationTests.tensor("a", .bf16, [-0.0, 1]))
        #expect(!(try Verification(zero, against: negative, threads: 1).isEqual))
    }

    @Test("names that differ only in composition are two tensors")
    func composition() throws {
        let one = try VerificationTests.checkpoint(VerificationTests.tensor("e\u{301}", .f32, [1]))
        let other = try VerificationTests.checkpoint(VerificationTests.tensor("\u{E9}", .f32, [1]))
        #expect(try Verification(one, against: other, threads: 1).findings.count == 2)
        #expect(try Verification(one, against: Manifest(other, threads: 1), threads: 1).findings.count == 2)
    }

    @Test("containers whose names nobody can translate are refused")
    func undescribed() throws {
        let gguf = try Models.gguf("unheard", layers: 2)
        expectRefusal("is unknown to resect") {
            _ = try Verification(gguf, against: Models.fixture(), threads: 1)
            return gguf
        }
    }
}

/// Rows that are given, byte by byte.
struct GivenBytes: RowSource {
    let bytes: [UInt8]

    var description: String { "given bytes" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        // One row holds everything.
        if !rows.isEmpty { output.copyBytes(from: bytes) }
    }
}

/// Rows in which all bytes are equal.
struct EqualBytes: RowSource {
    let byte: UInt8

    var description: String { "equal bytes" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        output.initializeMemory(as: UInt8.self, repeating: byte)
    }
}
