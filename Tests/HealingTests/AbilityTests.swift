import Checkpoints
import Formats
import Healing
import TestSupport
import Testing

@Suite("what can be done with a model")
struct AbilityTests {
    @Test("every known family is run and converted both ways", arguments: Architecture.all.map(\.name))
    func families(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        let abilities = FamilyAbilities(architecture)
        for ability in [ModelAbilities.Ability.run, .gguf, .folder] {
            #expect(abilities.has(ability), "\(abilities.refusals)")
        }
    }

    @Test("the fixture can do everything, and without its tokenizer what needs none")
    func fixture() throws {
        var model = try Checkpoint.open(Fixture.model)
        #expect(ModelAbilities(model).possible == ModelAbilities.Ability.allCases)
        model.companions = []
        #expect(ModelAbilities(model).possible == [.run, .folder, .heal, .train, .cut, .quantize])
    }

    @Test("a reason is that of the check: a missing tensor, an unknown architecture")
    func reasons() throws {
        var model = try Checkpoint.open(Fixture.model)
        model.tensors.removeAll { $0.name == "model.layers.4.mlp.up_proj.weight" }
        let refusals = ModelAbilities(model, [.run, .gguf, .heal]).refusals
        #expect(refusals.allSatisfy { $0.reason?.description.contains("layers.4.mlp.up_proj.weight") == true })
        model = try Checkpoint.open(Fixture.model)
        model.architecture = nil
        model.config?["architectures"] = .array([.string("OtherForCausalLM")])
        model.config?["model_type"] = .string("other")
        #expect(ModelAbilities(model).possible == [.folder, .tokenize, .cut, .quantize])
    }
}
