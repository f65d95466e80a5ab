import Formats
import Testing

@Suite("tensor names")
struct NameTemplateTests {
    static let roles = Architecture.all.flatMap { architecture in
        architecture.tensors.map { (architecture: architecture, names: $0) }
    }

    @Test("every role of every architecture is translated there and back", arguments: roles.indices)
    func bothWays(index: Int) throws {
        let (architecture, names) = NameTemplateTests.roles[index]
        let parts = [names.huggingFace, names.gguf].compactMap { $0 } + names.huggingFaceAlternatives
        let templates = parts.flatMap(\.names)
        try #require(!templates.isEmpty, "\(architecture.name).\(names.role)")
        for template in templates {
            for layer in template.isPerLayer ? [0, 1, 9, 10, 127, 999_999_999] : [0] {
                let expected: NameTemplate.Match = template.isPerLayer ? .layer(layer) : .whole
                for expert in template.isPerExpert ? [0, 9, 10, 127] : [0] {
                    let name = template.name(layer: layer, expert: expert)
                    #expect(template.match(name) == expected)
                    #expect(template.expert(in: name) == (template.isPerExpert ? expert : nil))
                }
            }
        }
        if let huggingFace = names.huggingFace, let gguf = names.gguf {
            #expect(huggingFace.isPerLayer == gguf.isPerLayer)
        }
    }

    @Test(
        "no name of an architecture belongs to two roles, unless each has a part of it",
        arguments: Architecture.all.map(\.name))
    func unambiguous(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        let folder = architecture.tensors.flatMap { [$0.huggingFace].compactMap { $0 } + $0.huggingFaceAlternatives }
        for parts in [folder, architecture.tensors.compactMap(\.gguf)] {
            for part in parts {
                for template in part.names {
                    let text = template.name(layer: 7)
                    let others = parts.filter { other in other.names.contains { $0.match(text) != .none } }
                    #expect(others.count == 1 || others.allSatisfy { $0.taken != nil }, "\(text)")
                }
            }
        }
    }

    @Test("an architecture is found by its classes and by its GGUF name", arguments: Architecture.all.map(\.name))
    func found(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        for known in architecture.classes { #expect(Architecture.named(class: known)?.name == name) }
        for known in architecture.modelTypes { #expect(Architecture.named(modelType: known)?.name == name) }
        #expect(Architecture.named(gguf: architecture.gguf)?.gguf == architecture.gguf)
        #expect(Set(architecture.tensors.map(\.role)).count == architecture.tensors.count)
    }

    @Test(
        "what is not the whole name does not match",
        arguments: [
            "model.layers.3.mlp.up_proj.weight2", "xmodel.layers.3.mlp.up_proj.weight",
            "model.layers..mlp.up_proj.weight",
            "model.layers.03.mlp.up_proj.weight", "model.layers.-1.mlp.up_proj.weight",
            "model.layers.٣.mlp.up_proj.weight",
            "model.layers.1000000000.mlp.up_proj.weight", "model.layers.3x.mlp.up_proj.weight", "model.layers.", "",
        ])
    func noMatch(name: String) {
        #expect(NameTemplate("model.layers.{layer}.mlp.up_proj.weight").match(name) == .none)
    }

    @Test("a template without a layer matches itself only")
    func whole() {
        let template = NameTemplate("caf\u{e9}.weight")
        #expect(template.match("caf\u{e9}.weight") == .whole)
        #expect(template.match("cafe\u{301}.weight") == .none)
        #expect(template.name(layer: 5) == "caf\u{e9}.weight")
    }
}
