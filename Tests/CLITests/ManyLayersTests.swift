import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("a model of many layers")
struct ManyLayersTests {
    /// The fixture model with its layers again and again.
    private static func write(layers count: Int, to path: String) throws {
        var model = try Checkpoint.open(Fixture.model)
        let prefix = "model.layers."
        model.tensors = model.tensors.flatMap { tensor -> [Tensor] in
            guard tensor.name.hasPrefix(prefix) else { return [tensor] }
            let parts = tensor.name.dropFirst(prefix.count).split(separator: ".", maxSplits: 1)
            guard let layer = Int(parts[0]) else { return [tensor] }
            return stride(from: layer, to: count, by: 12).map { layer in
                var copy = tensor
                copy.name = "\(prefix)\(layer).\(parts[1])"
                return copy
            }
        }
        model.config?["num_hidden_layers"] = .int(count)
        _ = try CheckpointWriter(threads: 2).write(OutputPlan(model), to: path)
    }

    @Test("has a heat map without a terminal and in every width", arguments: [30, 80])
    func map(layers count: Int) throws {
        let folder = TemporaryFolder()
        try ManyLayersTests.write(layers: count, to: folder("deep"))
        for width in ["env -u COLUMNS", "COLUMNS=24", "COLUMNS=80"] {
            let outcome = try Program.shell(
                "\(width) resect analyze deep --corpus \(Fixture.path("evaluation.txt")) --samples 1 --context 16 --quiet",
                in: folder)
            #expect(outcome.status == 0, "\(outcome.output)")
            let rows = outcome.output.split(separator: "\n").filter {
                $0.firstMatch(of: /^ *[0-9]+  [0-9]+:[0-9]+/) != nil
            }
            #expect(rows.count == count - 1, "\(outcome.output)")
        }
    }
}
