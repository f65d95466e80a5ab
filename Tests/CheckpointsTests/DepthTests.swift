import Checkpoints
import Formats
import TestSupport
import Testing

/// Values nested without end, on a stack that runaway recursion would soon fill.
@Suite("depth")
struct DepthTests {
    private static let beginnings = ["[", #"{"a":"#, #"[{"a":"#]

    /// What goes wrong when a path is opened and its vocabulary is read, on a small stack.
    private static func problem(opening path: String) -> String {
        onSmallStack {
            do throws(CheckpointError) {
                _ = try Vocabulary(checkpoint: Checkpoint.open(path))
                return "nothing"
            } catch {
                return error.description
            }
        }
    }

    private static func folder(_ name: String, _ text: String) -> TemporaryFolder {
        let folder = TemporaryFolder()
        for name in Files.names(Fixture.model) { folder.write(name, Files.read(Fixture.path("kjv-7m/" + name))) }
        folder.write(name, text)
        return folder
    }

    @Test("50,000 levels in a safetensors header are refused", arguments: beginnings)
    func header(beginning: String) {
        let deep = String(repeating: beginning, count: 50_000)
        let folder = TemporaryFolder()
        for text in [deep, #"{"m.0.w":"# + deep, #"{"__metadata__":"# + deep] {
            let path = folder.write("x.safetensors", SafetensorsBytes(header: text, data: []).bytes)
            let problem = DepthTests.problem(opening: path)
            let reasons = ["nested deeper than 127 levels", "not a JSON object", "not a map from text to text"]
            #expect(reasons.contains(where: problem.contains), "\(problem)")
        }
    }

    @Test(
        "50,000 levels in a file of a folder are refused",
        arguments: ["config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json"],
        beginnings)
    func folders(name: String, beginning: String) {
        let deep = String(repeating: beginning, count: 50_000)
        for text in [deep, #"{"weight_map":"# + deep, #"{"model":{"vocab":"# + deep] {
            let folder = DepthTests.folder(name, text)
            // An index counts where it is named.
            let path = name.hasSuffix(".index.json") ? folder(name) : folder.path
            let problem = withExtendedLifetime(folder) { DepthTests.problem(opening: path) }
            #expect(problem.contains("nested deeper than 128 levels") && problem.contains(name))
        }
    }

    @Test("120 levels are read, compared, written and released", arguments: ["config.json", "tokenizer_config.json"])
    func levels(name: String) throws {
        let text = String(repeating: #"[{"a":"#, count: 60) + "1" + String(repeating: "}]", count: 60)
        let config = String(decoding: Files.read(Fixture.path("kjv-7m/" + name)), as: UTF8.self)
        let folder = DepthTests.folder(name, config.replacing("{\n", with: "{\n\"deep\":\(text),", maxReplacements: 1))
        #expect(DepthTests.problem(opening: folder.path) == "nothing")
        let isSame = onSmallStack { () -> Bool in
            guard let model = try? Checkpoint.open(folder.path) else { return false }
            guard (try? CheckpointWriter(threads: 1).write(OutputPlan(model), to: folder("out"))) != nil else {
                return false
            }
            return (try? Checkpoint.open(folder("out")).config) == model.config
        }
        #expect(isSame)
    }

    @Test("arrays in arrays in GGUF metadata are refused at the second level")
    func gguf() {
        var value = GGUFBytes.Value.array(4, [.u32(1)])
        for _ in 0..<1000 { value = .array(9, [value]) }
        let folder = TemporaryFolder()
        let path = folder.write("x.gguf", GGUFBytes([("general.architecture", .text("toy")), ("k", value)]).bytes)
        #expect(DepthTests.problem(opening: path).contains("the array 'k' contains arrays, which no runtime reads"))
    }
}
