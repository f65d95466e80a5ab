import Checkpoints

/// Writes a folder with the tensors of a model and one that is made here, whose rows are computed while they are written.
func add(_ name: String, to path: String, output: String) throws -> Checkpoint {
    let model = try Checkpoint.open(path)
    let columns = 1024
    let ramp = try Tensor(name: name, dtype: .f32, shape: [64, columns], identity: "a ramp") { rows, output in
        let values = output.assumingMemoryBound(to: Float.self)
        for index in values.indices { values[index] = Float(rows.lowerBound * columns + index) }
    }
    let scale = try Tensor(name: name + ".scale", shape: [2], values: [0.5, 2])
    let made = try Checkpoint(
        named: "ramp", container: model.container, tensors: model.tensors + [ramp, scale], sources: model.sources)
    return try CheckpointWriter(threads: 8).write(OutputPlan(made), to: output)
}
