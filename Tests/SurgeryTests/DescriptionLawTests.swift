import Checkpoints
import Formats
import Surgery
import Testing

/// What has to hold for every described architecture; a new file is held to it without a new test.
@Suite("laws of descriptions")
struct DescriptionLawTests {
    private static func models(_ name: String) throws -> (folder: Checkpoint, gguf: Checkpoint) {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        let folder = try DescribedModels.folder(architecture)
        return (folder, try Convert(to: .gguf).apply(to: folder))
    }

    @Test(
        "the plans of a cut model are those of the model without these layers, in a folder and in GGUF",
        arguments: Architecture.all.map(\.name))
    func cut(name: String) throws {
        let (folder, gguf) = try DescriptionLawTests.models(name)
        for model in [folder, gguf] {
            let whole = try ModelPlan(model)
            #expect(whole.layers.count == DescribedModels.layers)
            for start in 0..<DescribedModels.layers {
                for end in start + 1...DescribedModels.layers where end - start < DescribedModels.layers {
                    guard let cut = try DescriptionLawTests.cut(start..<end, model) else { continue }
                    try cut.checkConsistency()
                    let plan = try ModelPlan(cut)
                    #expect(plan.layers == Array(whole.layers[..<start] + whole.layers[end...]))
                    #expect(plan.rotary == whole.rotary && plan.hidden == whole.hidden)
                }
            }
        }
    }

    /// The model without some layers; `nil` when its runtime computes by the layer's number, which no key can change.
    private static func cut(_ layers: Range<Int>, _ model: Checkpoint) throws -> Checkpoint? {
        let result = Result { try CutLayers(layers: layers).apply(to: model) }
        if case .failure(let error) = result, model.form == .gguf, "\(error)".contains("'general.architecture' is") {
            return nil
        }
        return try result.get()
    }

    @Test(
        "the plans of a folder and of its GGUF are equal but for the order of rotary pairs",
        arguments: Architecture.all.map(\.name))
    func containers(name: String) throws {
        let (folder, gguf) = try DescriptionLawTests.models(name)
        let (a, b) = (try ModelPlan(folder), try ModelPlan(gguf))
        let hasWindow = a.layers.contains { $0.attention.window != nil }
        let losesWindow = hasWindow && !b.layers.contains { $0.attention.window != nil }
        let isIgnored = folder.architecture?.ggufIgnoresWindows == true
        // What GGUF's architecture cannot say, and what llama.cpp leaves out, is said to the user.
        #expect(gguf.notes.contains { $0.contains("sliding window") } == (losesWindow || hasWindow && isIgnored))
        #expect(a.computesSame(as: b, contextLength: 64, ignoresWindows: losesWindow))
    }

    @Test("settings through the other container and back are equal", arguments: Architecture.all.map(\.name))
    func thereAndBack(name: String) throws {
        let (folder, gguf) = try DescriptionLawTests.models(name)
        let back = try Convert(to: .folder).apply(to: gguf)
        let (a, b) = (
            Settings(folder, try #require(folder.architecture)), Settings(back, try #require(back.architecture))
        )
        #expect(try ModelPlan(folder).computesSame(as: ModelPlan(back), contextLength: 64, ignoresWindows: true))
        let roles = b.architecture.windowRoles + ["rope"]
        for setting in b.architecture.settings where !roles.contains(setting.role) {
            for layer in setting.layers == nil ? 0..<1 : 0..<DescribedModels.layers {
                let (before, after) = (
                    try a.value(setting.role, layer: layer), try b.value(setting.role, layer: layer)
                )
                #expect(before == after || before?.double == after?.double, "\(setting.role)")
            }
        }
        #expect(Set(back.tensors.map(\.name)) == Set(folder.tensors.map(\.name)))
    }

    /// Whether a tensor is an output matrix that the settings do not ask for.
    private static func isOutput(_ tensor: Tensor, _ model: Checkpoint) -> Bool {
        guard let role = model.architecture?.tensor(role: "output"), let part = model.part(of: role) else {
            return false
        }
        return part.match(tensor.name) != .none && (model.settings?.followsFromTensors("tied") ?? false)
    }

    @Test("the newest spelling of a setting says the same", arguments: Architecture.all.map(\.name))
    func spellings(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        let newest = try DescribedModels.folder(architecture, newest: true)
        #expect(try ModelPlan(newest) == ModelPlan(DescribedModels.folder(architecture)))
    }

    @Test(
        "a model without one of its tensors is refused by the name of the tensor, in any form",
        arguments: Architecture.all.map(\.name))
    func complete(name: String) throws {
        let (folder, gguf) = try DescriptionLawTests.models(name)
        for model in [folder, gguf] {
            try model.checkConsistency()
            for (index, tensor) in model.tensors.enumerated() {
                var changed = model
                changed.tensors.remove(at: index)
                // Without an output matrix some models have their embedding in its place, all of GGUF among them.
                if DescriptionLawTests.isOutput(tensor, model) { continue }
                expectRefusal("'\(tensor.name)'") {
                    try changed.checkConsistency()
                    return changed
                }
                changed = model
                changed.tensors[index] = Models.zeros(tensor.name, tensor.shape.map { 2 * $0 }, .bf16)
                expectRefusal("'\(tensor.name)'") {
                    try changed.checkConsistency()
                    return changed
                }
            }
        }
    }
}
