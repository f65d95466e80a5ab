import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// fixtures/adapters/plain.gguf is what llama.cpp's convert_lora_to_gguf.py makes of fixtures/adapters/plain, and merged.json what
/// PEFT makes of the folder: the rows of queries are in another order in the two.
@Suite("GGUF adapters and GGUF bases")
struct GGUFAdapterTests {
    private func answers(_ name: String) throws -> JSONObject {
        let text = Files.read(Fixture.path("adapters/merged.json"))
        return try #require(JSON.parse(String(decoding: text, as: UTF8.self))[name]?.object)
    }

    private func check(_ merged: Checkpoint, _ base: Checkpoint, _ name: String) throws {
        let answers = try answers(name)
        #expect(answers.count > 3 && merged.tensors.count == base.tensors.count)
        for tensor in merged.tensors {
            let old = try #require(base.tensor(named: tensor.name))
            #expect(tensor.dtype == old.dtype && tensor.shape == old.shape)
            #expect(try hash(tensor) == answers[tensor.name]?.string ?? hash(old), "\(tensor.name)")
        }
    }

    @Test("a GGUF adapter gives a folder the weights that PEFT gives it")
    func folder() throws {
        let base = try Checkpoint.open(Fixture.model)
        let adapter = try Adapter(path: Fixture.path("adapters/plain.gguf"))
        try check(try MergeAdapters([.init(adapter)]).apply(to: base), base, "plain")
    }

    @Test("a GGUF model gets the weights that PEFT gives the folder", arguments: ["plain", "patterns", "plain.gguf"])
    func gguf(name: String) throws {
        let base = try Checkpoint.open(Fixture.model)
        let converted = try Convert(to: .gguf).apply(to: base)
        let merged = try MergeAdapters([.init(Adapter(path: Fixture.path("adapters/" + name)))]).apply(to: converted)
        #expect(merged.metadata == converted.metadata)
        for (tensor, old) in zip(merged.tensors, converted.tensors) {
            #expect(tensor.name == old.name && tensor.dtype == old.dtype)
        }
        try check(try Convert(to: .folder).apply(to: merged), base, name == "plain.gguf" ? "plain" : name)
    }

    @Test("a changed weight of a quantized GGUF model becomes BF16, the others keep their type, and a note says so")
    func quantized() throws {
        let base = try Quantize(.init(try #require(Mixture.named("Q8_0")))).apply(
            to: Convert(to: .gguf, dtype: .f32).apply(to: Checkpoint.open(Fixture.model)))
        let merged = try MergeAdapters([.init(Adapter(path: Fixture.path("adapters/plain")))]).apply(to: base)
        var changed = 0
        for (tensor, old) in zip(merged.tensors, base.tensors) {
            guard tensor.dtype != old.dtype else { continue }
            #expect(old.dtype.name == "Q8_0" && tensor.dtype == .bf16, "\(tensor.name)")
            changed += 1
        }
        #expect(changed == 4)
        // 2 x 131,072 and 2 x 65,536 weights: 2 bytes each now, 34 for a block of 32 before.
        #expect(
            merged.notes == [
                "4 changed weights were Q8_0; unless --type or a later quantize stores them small again, they are BF16 and take "
                    + "368,640 bytes more"
            ])
    }

    // MARK: files made here

    private static let keys: [(key: String, value: GGUFBytes.Value)] = [
        ("general.architecture", .text("llama")), ("general.type", .text("adapter")), ("adapter.type", .text("lora")),
        ("adapter.lora.alpha", .f32(3)),
    ]

    private static func tensor(_ name: String, _ shape: [UInt64], _ value: Float = 0.5) -> GGUFBytes.Tensor {
        GGUFBytes.Tensor(
            name, shape: shape,
            data: littleEndian([Float](repeating: value, count: Int(shape.reduce(1, *)))))
    }

    private static let values = "blk.0.attn_v.weight"
    /// Rank 1 for the first value matrix, [128, 256].
    private static let pair = [tensor(values + ".lora_a", [1, 256]), tensor(values + ".lora_b", [128, 1], 0.25)]

    private func merged(
        _ keys: [(key: String, value: GGUFBytes.Value)], _ tensors: [GGUFBytes.Tensor], to base: Checkpoint? = nil
    ) throws -> Checkpoint {
        let folder = TemporaryFolder()
        let adapter = try Adapter(path: folder.write("x.gguf", GGUFBytes(keys, tensors).bytes))
        let base = try base ?? Convert(to: .gguf, dtype: .f32).apply(to: Checkpoint.open(Fixture.model))
        return try base.applying([MergeAdapters([.init(adapter)]), Cast(to: .f32)])
    }

    @Test("alpha / rank is the scale; without an alpha, or with 0, it is 1")
    func alpha() throws {
        let base = try Convert(to: .gguf, dtype: .f32).apply(to: Checkpoint.open(Fixture.model))
        let old = try floats(try #require(base.tensor(named: Self.values)))
        let without = Array(Self.keys.dropLast())
        for (keys, change) in [
            (Self.keys, Float(0.375)), (without, 0.125), (without + [("adapter.lora.alpha", .f32(0))], 0.125),
        ] {
            let new = try floats(try #require(try merged(keys, Self.pair).tensor(named: Self.values)))
            #expect(zip(old, new).allSatisfy { $1 == $0 + change })
        }
    }

    @Test("A of an embedding is stored [rows, rank]; the output matrix that was tied to it stays as it is")
    func embedding() throws {
        let base = try Convert(to: .gguf, dtype: .f32).apply(to: Checkpoint.open(Fixture.model))
        let embedding = try #require(base.tensor(named: "token_embd.weight"))
        let (rows, columns) = (embedding.shape[0], embedding.shape[1])
        // Row r of A is (r, 1), row c of B is (0.25, c).
        let a = (0..<rows).flatMap { [Float($0), 1] as [Float] }
        let b = (0..<columns).flatMap { [0.25, Float($0)] as [Float] }
        let merged = try merged(
            Self.keys,
            [
                GGUFBytes.Tensor("token_embd.weight.lora_a", shape: [UInt64(rows), 2], data: littleEndian(a)),
                GGUFBytes.Tensor("token_embd.weight.lora_b", shape: [UInt64(columns), 2], data: littleEndian(b)),
            ])
        let old = try floats(embedding), new = try floats(try #require(merged.tensor(named: "token_embd.weight")))
        for (row, column) in [(0, 0), (3, 5), (rows - 1, columns - 1)] {
            let change = (Float(row) * 0.25 + Float(column)) * 1.5
            #expect(new[row * columns + column] == old[row * columns + column] + change)
        }
        #expect(try floats(try #require(merged.tensor(named: "output.weight"))) == old)
    }

    @Test("each expert of a stack gets the product of its own matrices")
    func experts() throws {
        let folder = TemporaryFolder(), name = "blk.0.ffn_up_exps.weight"
        let model = GGUFBytes(
            [("general.architecture", .text("olmoe")), ("olmoe.block_count", .u32(1))],
            [Self.tensor(name, [2, 3, 4], 1)])
        let base = try Checkpoint.open(folder.write("base.gguf", model.bytes))
        var keys = Self.keys
        keys[0].value = .text("olmoe")
        keys[3].value = .f32(1)
        // Expert 0 has the product 1 x (o + 1), expert 1 has 10 x (o + 1).
        let a = [Float](repeating: 1, count: 4) + [Float](repeating: 10, count: 4)
        let merged = try merged(
            keys,
            [
                GGUFBytes.Tensor(name + ".lora_a", shape: [2, 1, 4], data: littleEndian(a)),
                GGUFBytes.Tensor(
                    name + ".lora_b", shape: [2, 3, 1], data: littleEndian([1, 2, 3, 1, 2, 3] as [Float])),
            ], to: base)
        let expected: [Float] = [2, 3, 4, 11, 21, 31]
        #expect(try floats(try #require(merged.tensor(named: name))) == expected.flatMap { [$0, $0, $0, $0] })
    }

    @Test("a whole norm takes the place of the base's")
    func norm() throws {
        let name = "blk.2.ffn_norm.weight"
        let merged = try merged(Self.keys, Self.pair + [Self.tensor(name, [256], 2)])
        #expect(try floats(try #require(merged.tensor(named: name))) == [Float](repeating: 2, count: 256))
    }

    static let broken: [(String, @Sendable (inout GGUFBytes) -> Void, String)] = [
        ("half a pair", { $0.tensors.removeLast() }, "is there without its lora_b"),
        ("a model", { $0.pairs[1].value = .text("model") }, "'general.type' is 'model'"),
        ("another method", { $0.pairs[2].value = .text("lokr") }, "'adapter.type' is 'lokr'"),
        ("another architecture", { $0.pairs[0].value = .text("gemma3") }, "is for the architecture 'gemma3'"),
        ("no architecture", { $0.pairs.removeFirst() }, "has no 'general.architecture'"),
        ("alpha NaN", { $0.pairs[3].value = .f32(.nan) }, "'adapter.lora.alpha' is nan, not a finite number"),
        ("alpha of another type", { $0.pairs[3].value = .u32(3) }, "'adapter.lora.alpha' is 3, not a finite number"),
        ("an unknown key", { $0.pairs.append(("adapter.lora.magic", .u32(3))) }, "has 'adapter.lora.magic'"),
        (
            "an activated adapter", { $0.pairs.append(("adapter.alora.invocation_tokens", .array(4, [.u32(3)]))) },
            "begins to work after certain tokens"
        ),
        (
            "another part", { $0.tensors.append(tensor("blk.0.attn_v.bias.lora_a", [1, 256])) },
            "is neither lora_a nor lora_b"
        ),
        ("a whole weight", { $0.tensors.append(tensor("output.weight", [1, 256])) }, "is neither lora_a nor lora_b"),
        ("another rank", { $0.tensors[0] = tensor(values + ".lora_a", [2, 256]) }, "do not go together"),
        ("another width", { $0.tensors[0] = tensor(values + ".lora_a", [1, 128]) }, "is for a weight of [128, 128]"),
        (
            "a stack for a matrix",
            { $0.tensors = [tensor(values + ".lora_a", [2, 1, 256]), tensor(values + ".lora_b", [2, 64, 1])] },
            "is for a weight of [2, 64, 256]"
        ),
        ("a vector", { $0.tensors[0] = tensor(values + ".lora_a", [256]) }, "has the shape [256]"),
        (
            "a tensor that the base has not",
            {
                $0.tensors = [
                    tensor("blk.40.attn_v.weight.lora_a", [1, 256]), tensor("blk.40.attn_v.weight.lora_b", [128, 1]),
                ]
            },
            "blk.40.attn_v"
        ),
        ("NaN", { $0.tensors[1] = tensor(values + ".lora_b", [128, 1], .nan) }, "holds NaN in row 0"),
    ]

    @Test("an adapter that is wrong is refused by name", arguments: broken.indices)
    func refusals(index: Int) throws {
        let (what, change, message) = Self.broken[index]
        var file = GGUFBytes(Self.keys, Self.pair)
        change(&file)
        let error = #expect(throws: CheckpointError.self) { _ = try merged(file.pairs, file.tensors) }
        #expect(error?.description.contains(message) == true, "\(what): \(error?.description ?? "")")
    }

    @Test("between a folder and GGUF an architecture that is not known is refused by name")
    func unknown() throws {
        let folder = TemporaryFolder()
        let model = GGUFBytes(
            [("general.architecture", .text("bloom")), ("bloom.block_count", .u32(1))],
            [Self.tensor("blk.0.attn_v.weight", [128, 256], 1)])
        let base = try Checkpoint.open(folder.write("base.gguf", model.bytes))
        let adapter = try Adapter(path: Fixture.path("adapters/plain"))
        let error = #expect(throws: CheckpointError.self) { _ = try MergeAdapters([.init(adapter)]).apply(to: base) }
        #expect(
            error?.description.contains("the architecture 'bloom' is unknown to resect") == true,
            "\(error?.description ?? "")")
    }

    private func floats(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { Array($0.bindMemory(to: Float.self)) }
    }

    private func hash(_ tensor: Tensor) throws -> String {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            let value = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }
}
