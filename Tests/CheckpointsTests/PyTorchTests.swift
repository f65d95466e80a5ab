import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("PyTorch files")
struct PyTorchTests {
    static let fixtures = [
        ("views", "views"), ("views-old", "views"), ("types", "types"), ("types-old", "types"), ("nested", "nested"),
        ("nested-old", "nested"), ("swapped", "types"),
    ]

    static func path(_ name: String) -> String { Fixture.path("tiny/torch/\(name).bin") }

    @Test("the tensors are those that PyTorch wrote to safetensors", arguments: fixtures)
    func knownAnswers(name: String, answer: String) throws {
        let checkpoint = try Checkpoint.open(PyTorchTests.path(name))
        let expected = try Checkpoint.open(Fixture.path("tiny/torch/\(answer).safetensors"))
        #expect(checkpoint.form == .safetensors && checkpoint.isPyTorch)
        #expect(checkpoint.tensors.count == expected.tensors.count)
        let contents = try Contents(checkpoint)
        for (tensor, bytes) in try zip(expected.tensors, Contents(expected).bytes) {
            let index = try #require(
                checkpoint.tensors.firstIndex { ExactString($0.name) == ExactString(tensor.name) }, "\(tensor.name)")
            #expect(checkpoint.tensors[index].dtype == tensor.dtype, "\(tensor.name)")
            #expect(checkpoint.tensors[index].shape == tensor.shape, "\(tensor.name)")
            #expect(contents.bytes[index] == bytes, "\(tensor.name)")
        }
    }

    @Test("tensors are in the order of the state, and views that lie together are ranges of the file")
    func recipes() throws {
        let checkpoint = try Checkpoint.open(PyTorchTests.path("views"))
        #expect(checkpoint.tensors.map(\.name).first == "whole" && checkpoint.tensors.map(\.name).last == "é")
        let gathered = checkpoint.tensors.filter { $0.recipe.mappedRange == nil }.map(\.name)
        #expect(
            gathered == ["transposed", "columns", "strided", "permuted", "expanded", "repeated scalar", "wide"])
        let places = ["whole", "tied", "rows"].map { checkpoint.tensor(named: $0)?.recipe.mappedRange?.byteOffset }
        #expect(places[0] == places[1] && places[2] == places[0].map { $0 + 24 })
    }

    @Test("the same bytes are written for any number of threads", arguments: ["views", "swapped"])
    func threads(name: String) throws {
        let folder = TemporaryFolder()
        let plan = try OutputPlan(Checkpoint.open(PyTorchTests.path(name)))
        try CheckpointWriter(threads: 1).write(plan, to: folder("1.safetensors"))
        let written = try CheckpointWriter(threads: 7).write(plan, to: folder("7.safetensors"))
        #expect(!written.isPyTorch)
        #expect(Files.read(folder("1.safetensors")) == Files.read(folder("7.safetensors")))
    }

    @Test("rows of any view are the elements that offset and strides say", arguments: 1...40)
    func views(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let (type, width) =
            [("ByteStorage", 1), ("HalfStorage", 2), ("FloatStorage", 4), ("LongStorage", 8)]
            .randomElement(using: &generator) ?? ("", 0)
        let shape = (0..<Int.random(in: 0...4, using: &generator)).map { _ in Int.random(in: 1...40, using: &generator)
        }
        let strides = shape.map { _ in Int.random(in: 0...50, using: &generator) }
        let offset = Int.random(in: 0...9, using: &generator)
        let count = offset + zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
        let size = shape.reduce(width, *)
        guard size < 4 << 20 else { return }
        // A view of stride 0 may not be larger than the file.
        let data = generator.bytes(count * width), padding = [UInt8](repeating: 0, count: size)
        let tensor = PickleBytes.tensor(
            PickleBytes.storage(type, count: count), offset: offset, shape: shape, strides: strides)
        let file = ZipBytes(
            pickle: PickleBytes.pickle(PickleBytes.named([("a", tensor)])),
            storages: [("0", data), ("unused", padding)])
        let folder = TemporaryFolder()
        let found = try #require(Checkpoint.open(folder.write("a.pt", file.bytes)).tensors.first)
        var expected: [UInt8] = []
        var index = shape.map { _ in 0 }
        repeat {
            let element = offset + zip(index, strides).reduce(0) { $0 + $1.0 * $1.1 }
            expected += data[element * width..<(element + 1) * width]
            var axis = index.count - 1
            while axis >= 0 {
                index[axis] += 1
                if index[axis] < shape[axis] { break }
                index[axis] = 0
                axis -= 1
            }
            if axis < 0 { break }
        } while true
        let bytes = try found.withBytes(rows: 0..<found.rowCount) { [UInt8]($0) }
        #expect(bytes == expected)
        let middle = found.rowCount / 3..<found.rowCount / 3 * 2 + 1
        let rows = try found.withBytes(rows: middle) { [UInt8]($0) }
        #expect(rows[...] == expected[middle.lowerBound * found.rowByteCount..<middle.upperBound * found.rowByteCount])
    }

    @Test("a file is recognized by what it holds, whatever its name")
    func names() throws {
        let folder = TemporaryFolder()
        for name in ["views", "views-old"] {
            for target in ["a", "a.pt", "a.pth", "a.safetensors"] {
                let path = folder.write(target, Files.read(PyTorchTests.path(name)))
                #expect(try Checkpoint.open(path).isPyTorch)
            }
        }
        #expect(try !Checkpoint.open(folder.write("b.bin", GGUFTests.small.bytes)).isPyTorch)
    }

    @Test("a file that is cut anywhere is refused", arguments: fixtures.map(\.0))
    func truncation(name: String) {
        let folder = TemporaryFolder()
        let bytes = Files.read(PyTorchTests.path(name))
        for count in 1..<min(bytes.count, 2000) {
            let path = folder.write("cut.bin", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self, "\(count) bytes") { try Checkpoint.open(path) }
        }
        for count in stride(from: 2000, to: bytes.count, by: 37) {
            let path = folder.write("cut.bin", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self, "\(count) bytes") { try Checkpoint.open(path) }
        }
    }

    @Test("no change of a few bytes does harm", arguments: fixtures.map(\.0))
    func mutation(name: String) {
        let folder = TemporaryFolder()
        let bytes = Files.read(PyTorchTests.path(name))
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<600 {
            var changed = bytes
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                changed[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            do {
                _ = try Contents(Checkpoint.open(folder.write("m.bin", changed)))
            } catch {
                expect(error as? CheckpointError, "")
            }
        }
    }

    @Test("no change of a pickle behind a right checksum does harm", arguments: ["nested", "types", "views"])
    func pickles(name: String) {
        let folder = TemporaryFolder()
        let bytes = Files.read(Fixture.root + "/Tests/Fuzzing/corpora/pickle/\(name).pkl")
        var generator = SeededGenerator(seed: 11)
        var parsed = 0
        for number in 0..<800 {
            var changed = bytes
            for _ in 0..<min(number, 4) {
                changed[Int.random(in: 0..<changed.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            let path = folder.write("p.bin", ZipBytes(pickle: changed, storages: []).bytes)
            let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
            // What is missed next when the pickle is right.
            parsed += error?.description.contains("has no record for the storage") == true ? 1 : 0
        }
        #expect(parsed > 0)
    }

    @Test("no change of a directory does harm", arguments: ["views", "types", "nested", "swapped"])
    func directory(name: String) {
        let folder = TemporaryFolder()
        let bytes = Files.read(PyTorchTests.path(name))
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<2000 {
            var changed = bytes
            let index = Int.random(in: max(0, bytes.count - 1200)..<bytes.count, using: &generator)
            changed[index] = .random(in: 0...255, using: &generator)
            do {
                _ = try Checkpoint.open(folder.write("d.bin", changed))
            } catch {
                expect(error, "")
            }
        }
    }
}
