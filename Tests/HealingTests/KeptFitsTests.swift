import Analysis
import Checkpoints
import Healing
import Surgery
import TestSupport
import Testing
import Weights

/// A heal that is stopped between its layers, and goes on behind those that it had fitted.
@Suite("a heal that goes on behind the layers that were fitted")
struct KeptFitsTests {
    private static let text = {
        let fitting = FamilyTests.corpus(48, seed: 3)
        return HealingParts(
            ranking: fitting.prefix(2), fitting: fitting, training: fitting, choosing: FamilyTests.corpus(8, seed: 4))
    }()

    private static func heal(_ model: Checkpoint, _ work: Work = Work()) throws -> ClosedForm.Result {
        try ClosedForm().heal(
            model, dropping: FamilyTests.dropped, text: text, run: RunOptions(threads: 2), work: work
        ).result
    }

    private static func values(_ result: ClosedForm.Result) throws -> [String] {
        let tensors = try result.weights.tensors.map { "\($0.name) \(try $0.floats().map(\.bitPattern))" }
        return tensors + result.weights.changes.map { "\($0)" } + ["\(result.healedLoss ?? 0) \(result.widestInput)"]
    }

    /// Heals until some steps are done.
    private static func interrupted(_ model: Checkpoint, _ path: String, steps: Int) async throws -> Measures {
        let measures = try Measures(at: path, of: model)
        let task = Task {
            var work = Work { event in
                guard case .progress(.heal, let done, _) = event, done == steps else { return }
                withUnsafeCurrentTask { $0?.cancel() }
            }
            work.measures = measures
            return try heal(model, work)
        }
        await #expect(throws: CheckpointError.cancelled) { try await task.value }
        return measures
    }

    @Test(
        "the result is the same to the last bit after one interruption and after two, and no file is left",
        arguments: FamilyTests.classes.map(\.name), [[5], [4, 5]])
    func resumed(name: String, steps: [Int]) async throws {
        let folder = TemporaryFolder()
        let model = try FamilyTests.model(name)
        var count = 0
        for steps in steps {
            let measures = try await Self.interrupted(model, folder("measures"), steps: steps)
            #expect(measures.fitCount > count)
            count = measures.fitCount
        }
        var work = Work()
        let measures = try Measures(at: folder("measures"), of: model)
        work.measures = measures
        #expect(try Self.values(Self.heal(model, work)) == Self.values(Self.heal(model)))
        measures.remove()
        #expect(Files.names(folder.path) == [])
    }

    @Test("a damaged file is named, and one of another heal is not taken")
    func others() async throws {
        let folder = TemporaryFolder()
        let model = try FamilyTests.model("LlamaForCausalLM")
        let measures = try await Self.interrupted(model, folder("measures"), steps: 5)
        let name = try #require(Files.names(folder.path).first { $0.hasSuffix(".safetensors") })
        var other = Work()
        other.measures = measures
        let bridge = try ClosedForm(method: .bridge).heal(
            model, dropping: FamilyTests.dropped, text: Self.text, run: RunOptions(threads: 2), work: other)
        let expected = try ClosedForm(method: .bridge).heal(
            model, dropping: FamilyTests.dropped, text: Self.text, run: RunOptions(threads: 2))
        #expect(try Self.values(bridge.result) == Self.values(expected.result))
        _ = try await Self.interrupted(model, folder("measures"), steps: 5)
        folder.write(name, "{}")
        let error = #expect(throws: CheckpointError.self) { try Self.heal(model, other) }
        #expect(error?.description.contains(name) == true, "\(error?.description ?? "")")
    }

    @Test("files of another heal in the current folder are replaced, not taken for the input")
    func currentFolder() async throws {
        let path = ".resect-test-\(UInt64.random(in: .min ... .max))"
        let model = try FamilyTests.model("LlamaForCausalLM")
        defer { Measures.remove(at: path) }
        var other = Work()
        other.measures = try await Self.interrupted(model, path, steps: 5)
        let run = RunOptions(threads: 2)
        let bridge = try ClosedForm(method: .bridge).heal(
            model, dropping: FamilyTests.dropped, text: Self.text, run: run, work: other)
        let expected = try ClosedForm(method: .bridge).heal(
            model, dropping: FamilyTests.dropped, text: Self.text, run: run)
        #expect(try Self.values(bridge.result) == Self.values(expected.result))
    }
}
