import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("tensors that a program makes")
struct MadeTensorTests {
    /// Rows of 300 values, enough for several units of work: value i is i.
    private static let columns = 300, rows = 20_000

    private static func ramp(_ identity: String = "ramp") throws -> Tensor {
        try Tensor(name: "ramp", dtype: .f32, shape: [rows, columns], identity: identity) { rows, output in
            let values = output.assumingMemoryBound(to: Float.self)
            precondition(values.count == rows.count * columns)
            for index in values.indices { values[index] = Float(rows.lowerBound * columns + index) }
        }
    }

    private static func write(_ tensors: [Tensor], to path: String, threads: Int = 2) throws -> Checkpoint {
        let made = try Checkpoint(named: "made", container: .safetensors(header: nil), tensors: tensors)
        return try CheckpointWriter(threads: threads).write(OutputPlan(made), to: path)
    }

    @Test("bytes in memory lie in the file behind its header, in the order of the tensors")
    func bytes() throws {
        let folder = TemporaryFolder()
        let bytes8 = try #require(DType(named: "U8"))
        let tensors = [
            try Tensor(name: "b", dtype: bytes8, shape: [2, 3], bytes: [1, 2, 3, 4, 5, 6]),
            try Tensor(name: "a", shape: [], values: [1.5]),
            try Tensor(name: "none", dtype: .f16, shape: [0, 4], bytes: []),
        ]
        let written = try Self.write(tensors, to: folder("x.safetensors"))
        let file = Files.read(folder("x.safetensors"))
        let header = file[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let table = try JSON.parse(String(decoding: file[8..<8 + header], as: UTF8.self))
        func bytes(_ name: String) -> [UInt8] {
            let ends = table[name]?["data_offsets"]?.array?.compactMap(\.int) ?? []
            return ends.count == 2 ? Array(file[(8 + header + ends[0])..<(8 + header + ends[1])]) : [0xFF]
        }
        #expect(bytes("b") == [1, 2, 3, 4, 5, 6])
        #expect(bytes("a") == [0, 0, 0xC0, 0x3F])
        #expect(bytes("none") == [])
        #expect(table["a"]?["shape"] == .array([]) && table["none"]?["dtype"] == .string("F16"))
        #expect(written.tensors.count == 3)
    }

    @Test("rows are made while they are written, and the file is the same for every number of threads")
    func madeRows() throws {
        let folder = TemporaryFolder()
        let written = try Self.write([Self.ramp()], to: folder("1.safetensors"), threads: 1)
        _ = try Self.write([Self.ramp()], to: folder("4.safetensors"), threads: 4)
        #expect(Files.read(folder("1.safetensors")) == Files.read(folder("4.safetensors")))
        for row in [0, 1, 9_999, Self.rows - 1] {
            try written.tensors[0].withBytes(rows: row..<row + 1) { bytes throws(CheckpointError) in
                let values = Array(bytes.bindMemory(to: Float.self))
                #expect(values == (0..<Self.columns).map { Float(row * Self.columns + $0) })
            }
        }
    }

    @Test("an error of the rows ends the writing, and nothing is left")
    func failing() throws {
        let folder = TemporaryFolder()
        let tensor = try Tensor(name: "t", dtype: .f32, shape: [4, 2], identity: "fails") {
            (_, _) throws(CheckpointError) in throw CheckpointError("no rows today")
        }
        let error = #expect(throws: CheckpointError.self) { try Self.write([tensor], to: folder("x.safetensors")) }
        #expect(error?.problem == "no rows today")
        #expect(folder.names.isEmpty)
    }

    @Test("a folder that is made has the architecture of its configuration, and a GGUF file that of its metadata")
    func containers() throws {
        let tensor = try Tensor(name: "blk.0.attn_norm.weight", shape: [2], values: [1, 2])
        var metadata = GGUFMetadata()
        metadata["general.architecture"] = .string("llama")
        let gguf = try Checkpoint(named: "made", container: .gguf(metadata), tensors: [tensor])
        #expect(gguf.architecture?.name == "llama" && gguf.content == .model)
        let config = JSONObject([("architectures", .array([.string("LlamaForCausalLM")]))])
        let model = try Checkpoint(named: "made", container: .folder(.init(config: config)), tensors: [tensor])
        #expect(model.architecture?.name == "llama")
        let lora = try Tensor(name: "base_model.model.x.lora_A.weight", shape: [1, 2], values: [1, 2])
        let folder = TemporaryFolder()
        let adapter = try Checkpoint(named: "made", container: .folder(.init()), tensors: [lora])
        try CheckpointWriter(threads: 1).write(OutputPlan(adapter), to: folder("adapter"))
        #expect(Files.names(folder("adapter")) == ["adapter_model.safetensors"])
    }

    @Test("what decides the bytes decides whether two tensors are taken for the same")
    func fingerprints() throws {
        func fingerprint(_ tensor: Tensor) -> String {
            if case .computed(let source) = tensor.recipe { source.fingerprint } else { "" }
        }
        func held(_ byte: UInt8) throws -> String {
            try fingerprint(Tensor(name: "t", dtype: .f16, shape: [1], bytes: [1, byte]))
        }
        #expect(try held(2) == held(2) && held(2) != held(3))
        #expect(try fingerprint(Self.ramp()) == fingerprint(Self.ramp()))
        #expect(try fingerprint(Self.ramp()) != fingerprint(Self.ramp("another")))
    }

    @Test("shapes that the type or the bytes do not fit, and names that are there twice, are refused")
    func refused() throws {
        func refuse(_ message: String, _ dtype: DType, _ shape: [Int], _ count: Int) {
            let error = #expect(throws: CheckpointError.self) {
                try Tensor(name: "t", dtype: dtype, shape: shape, bytes: Array(repeating: 0, count: count))
            }
            #expect(error?.description == message)
        }
        refuse("tensor 't' has 7 bytes; F32 of shape [2] takes 8", .f32, [2], 7)
        refuse("tensor 't' cannot be F32 of shape [-1]", .f32, [-1], 0)
        refuse("tensor 't' cannot be F32 of shape [9223372036854775807, 2]", .f32, [.max, 2], 0)
        refuse("tensor 't' cannot be Q8_0 of shape [33]; its rows are of whole blocks of 32", .q8_0, [33], 34)
        let tensor = try Tensor(name: "t", shape: [1], values: [0])
        let error = #expect(throws: CheckpointError.self) { try Self.write([tensor, tensor], to: "x") }
        #expect(error?.description == "made: tensor 't' is there twice")
    }
}
