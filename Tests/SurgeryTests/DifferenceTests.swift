import Checkpoints
import Formats
import Kernels
import Surgery
import TestSupport
import Testing

@Suite("differences")
struct DifferenceTests {
    private static func difference(_ a: Checkpoint, _ b: Checkpoint, threads: Int = 2) throws -> CheckpointDifference {
        try CheckpointDifference(from: a, to: b, threads: threads)
    }

    private static func vector(_ name: String, _ values: [Float]) -> Tensor {
        Tensor(
            name: name, dtype: .f32, shape: [values.count],
            recipe: .computed(GivenBytes(bytes: littleEndian(values))))
    }

    private static func checkpoint(_ tensors: Tensor...) throws -> Checkpoint {
        var checkpoint = try Models.fixture()
        checkpoint.tensors = tensors
        return checkpoint
    }

    @Test("a checkpoint does not differ from itself, whatever is in it")
    func equal() throws {
        let model = try Models.fixture()
        #expect(try DifferenceTests.difference(model, model).isEmpty)
        let odd = try DifferenceTests.checkpoint(DifferenceTests.vector("a", [.nan, .infinity, -0.0]))
        #expect(try DifferenceTests.difference(odd, odd).isEmpty)
    }

    @Test("after a cut, layers are removed and renamed, and nothing is changed", arguments: [0..<1, 3..<6, 8..<12])
    func cut(layers: Range<Int>) throws {
        let model = try Models.fixture()
        let found = try DifferenceTests.difference(model, CutLayers(layers: layers).apply(to: model))
        #expect(found.removed.count == 9 * layers.count && found.added.isEmpty)
        #expect(found.changed.isEmpty && found.retyped.isEmpty)
        #expect(found.renamed.count == 9 * (12 - layers.upperBound))
        for item in found.renamed {
            let from = try #require(model.layerPattern?.layer(of: item.from))
            #expect(model.layerPattern?.renumber(item.from, to: from - layers.count) == item.to)
        }
        for name in found.removed {
            #expect(model.layerPattern?.layer(of: name).map(layers.contains) == true, "\(name)")
        }
        #expect(found.metadata?.changed.map(\.key) == ["config.json:num_hidden_layers"])
    }

    @Test("a cut that was converted too is found behind the other names and types")
    func cutAndConverted() throws {
        let model = try Models.fixture()
        let result = try model.applying([CutLayers(layers: 3..<6), Convert(to: .gguf)])
        let found = try DifferenceTests.difference(model, result)
        #expect(found.removed.count == 27 && found.added.isEmpty && found.changed.isEmpty)
        #expect(found.renamed.count == 54)
        // Of layers 6 to 11, moved, two norms each; of 0 to 2 and the last one, in their places.
        #expect(found.renamed.count { $0.dtypes.from != $0.dtypes.to } == 12)
        #expect(found.retyped.count == 7)
        #expect(found.metadata == nil)
    }

    @Test("a written checkpoint and one that is not written yet give the same answer, on any number of threads")
    func virtual() throws {
        let folder = TemporaryFolder()
        let model = try Models.fixture()
        let planned = try model.applying([CutLayers(layers: 5..<7), Cast(to: .f16)])
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(planned), to: folder("out"))
        func figures(_ found: CheckpointDifference) -> [String] {
            found.changed.map { "\($0.name) \($0.distance.debugDescription)" }
                + found.renamed.map { "\($0.from) \($0.to)" } + found.removed + found.retyped.map(\.name)
        }
        let expected = figures(try DifferenceTests.difference(model, planned, threads: 1))
        #expect(!expected.isEmpty)
        for threads in 1...3 {
            #expect(figures(try DifferenceTests.difference(model, written, threads: threads)) == expected)
        }
    }

    @Test("the figures of a change are those of arithmetic")
    func figures() throws {
        let before: [Float] = [1, 2, 3, .nan, .infinity, 1, .nan, 0, 5]
        let after: [Float] = [1, 2.5, 1, .nan, -.infinity, .infinity, 4, -0.0, 5]
        let found = try DifferenceTests.difference(
            DifferenceTests.checkpoint(DifferenceTests.vector("a", before)),
            DifferenceTests.checkpoint(DifferenceTests.vector("a", after)))
        let distance = try #require(found.changed.first?.distance)
        #expect(found.changed.count == 1)
        #expect(distance.maxAbs == 2)
        // Six of the nine differences are numbers.
        #expect(abs(distance.rms - (4.25 / 6).squareRoot()) < 1e-15)
        #expect(distance.differing == 6 && distance.nonFinite == 3)
    }

    @Test("quantization is measured as its decoded values say", arguments: ["Q8_0", "Q4_0", "Q4_K_M"])
    func quantized(type: String) throws {
        let model = try Models.fixture()
        let gguf = try Convert(to: .gguf).apply(to: model)
        let quantized = try Quantize(#require(Mixture.named(type))).apply(to: gguf)
        let found = try DifferenceTests.difference(gguf, quantized)
        #expect(found.renamed.isEmpty && found.removed.isEmpty && found.added.isEmpty && !found.changed.isEmpty)
        for item in found.changed.prefix(5) {
            let a = try DifferenceTests.decoded(#require(gguf.tensor(named: item.name)))
            let b = try DifferenceTests.decoded(#require(quantized.tensor(named: item.name)))
            let squares = zip(a, b).map { (Double($0) - Double($1)) * (Double($0) - Double($1)) }
            let rms = (squares.reduce(0, +) / Double(squares.count)).squareRoot()
            let distance = try #require(item.distance)
            #expect(abs(distance.rms - rms) <= 1e-9 * rms)
            #expect(distance.maxAbs == squares.max()?.squareRoot())
            #expect(distance.differing == zip(a, b).count { $0.bitPattern != $1.bitPattern })
        }
    }

    private static func decoded(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            [Float](unsafeUninitializedCapacity: tensor.count) { buffer, count in
                if let base = buffer.baseAddress { Codec.decode(tensor.dtype, bytes, count: tensor.count, into: base) }
                count = tensor.count
            }
        }
    }

    @Test("two tensors that change places are renamed, and a name that went elsewhere is free for another")
    func swapped() throws {
        let a: [Float] = [1, 2], b: [Float] = [3, 4], c: [Float] = [5, 6]
        let before = try DifferenceTests.checkpoint(DifferenceTests.vector("x", a), DifferenceTests.vector("y", b))
        let after = try DifferenceTests.checkpoint(DifferenceTests.vector("x", b), DifferenceTests.vector("y", a))
        let found = try DifferenceTests.difference(before, after)
        #expect(found.renamed.map { "\($0.from)\($0.to)" }.sorted() == ["xy", "yx"])
        #expect(found.changed.isEmpty && found.added.isEmpty && found.removed.isEmpty)
        let replaced = try DifferenceTests.checkpoint(DifferenceTests.vector("x", c), DifferenceTests.vector("z", a))
        let other = try DifferenceTests.difference(before, replaced)
        #expect(other.renamed.map { "\($0.from)\($0.to)" } == ["xz"])
        #expect(other.added == ["x"] && other.removed == ["y"] && other.changed.isEmpty)
    }

    @Test("types that cannot be decoded are compared by bytes, and changed without figures")
    func undecodable() throws {
        let folder = TemporaryFolder()
        func file(_ name: String, _ data: [UInt8]) throws -> Checkpoint {
            // Rows of three elements of half a byte do not end with a byte.
            let file = SafetensorsBytes([("t", "F4", [4, 3], data), ("u", "I64", [1], Array(repeating: 1, count: 8))])
            return try Checkpoint.open(folder.write(name, file.bytes))
        }
        let one = try file("a.safetensors", [1, 2, 3, 4, 5, 6])
        #expect(try DifferenceTests.difference(one, file("b.safetensors", [1, 2, 3, 4, 5, 6])).isEmpty)
        let found = try DifferenceTests.difference(one, file("c.safetensors", [1, 2, 3, 4, 5, 7]))
        #expect(found.changed.map(\.name) == ["t"] && found.changed.first?.distance == nil)
    }

    @Test("metadata is compared to the byte, and long values are shortened")
    func metadata() throws {
        func model(_ pairs: [(String, GGUFValue)]) throws -> Checkpoint { try Models.gguf("llama", layers: 1, pairs) }
        let long = String(repeating: "x", count: 300)
        let before = try model([
            ("same", .f32(.nan)), ("list", .strings(["a", "b"])), ("accent", .string("e\u{301}")),
            ("gone", .bool(true)),
            ("text", .string("short")), ("tokens", .strings((0..<99).map(String.init))),
        ])
        let after = try model([
            ("same", .f32(.nan)), ("list", .strings(["a", "c"])), ("accent", .string("\u{E9}")), ("new", .u64(.max)),
            ("text", .string(long)), ("tokens", .strings((1..<100).map(String.init))),
        ])
        let found = try #require(try DifferenceTests.difference(before, after).metadata)
        #expect(found.added.map(\.key) == ["llama.new"] && found.added[0].value == .number("18446744073709551615"))
        #expect(found.removed.map(\.key) == ["llama.gone"])
        #expect(found.changed.map(\.key) == ["llama.list", "llama.accent", "llama.text", "llama.tokens"])
        #expect(found.changed[2].to.compact.utf8.count < 100)
        #expect(found.changed[3].to.compact == "{\"count\":99}")
        var folder = try Models.fixture()
        folder.companions[0].contents.append(0x20)
        folder.config?["rope_theta"] = .number("1e4")
        let files = try #require(try DifferenceTests.difference(Models.fixture(), folder).metadata)
        #expect(files.changed.map(\.key) == ["config.json:rope_theta", folder.companions[0].name])
    }
}
