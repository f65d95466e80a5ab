import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("containers of checkpoints")
struct ContainerTests {
    private static func checkpoint(_ container: Checkpoint.Container) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(Fixture.model)
        checkpoint.container = container
        return checkpoint
    }

    private static let object = JSONObject([("a", .int(1))])

    private static let metadata: GGUFMetadata = {
        var metadata = GGUFMetadata()
        metadata["a"] = .u8(1)
        return metadata
    }()

    @Test("each has its own members, and nothing of the others'")
    func members() throws {
        let companion = Checkpoint.Companion(name: "LICENSE", contents: [1])
        let folder = try ContainerTests.checkpoint(
            .folder(.init(config: ContainerTests.object, headerMetadata: JSONObject(), companions: [companion])))
        #expect(folder.form == .folder && folder.config == ContainerTests.object && folder.metadata.pairs.isEmpty)
        #expect(folder.headerMetadata == JSONObject() && folder.companion("LICENSE")?.contents == [1])
        let file = try ContainerTests.checkpoint(.safetensors(header: ContainerTests.object))
        #expect(file.form == .safetensors && file.config == nil && file.headerMetadata == ContainerTests.object)
        #expect(file.companions.isEmpty && file.metadata.pairs.isEmpty)
        let gguf = try ContainerTests.checkpoint(.gguf(ContainerTests.metadata))
        #expect(gguf.form == .gguf && gguf.metadata == ContainerTests.metadata && gguf.headerMetadata == nil)
        #expect(gguf.config == nil && gguf.companions.isEmpty)
    }

    @Test("members can be changed where they are, and removed anywhere")
    func changes() throws {
        for container in [
            .folder(.init(config: ContainerTests.object)), .safetensors(header: nil), .gguf(ContainerTests.metadata),
        ] as [Checkpoint.Container] {
            var checkpoint = try ContainerTests.checkpoint(container)
            let form = checkpoint.form
            checkpoint.config?["a"] = .int(2)
            #expect(checkpoint.config?["a"] == (form == .folder ? .int(2) : nil))
            checkpoint.config = nil
            checkpoint.companions.removeAll { $0.name == "LICENSE" }
            checkpoint.headerMetadata = nil
            checkpoint.metadata["a"] = nil
            #expect(checkpoint.form == form && checkpoint.config == nil && checkpoint.metadata.pairs.isEmpty)
        }
        var file = try ContainerTests.checkpoint(.safetensors(header: nil))
        file.headerMetadata = ContainerTests.object
        #expect(file.headerMetadata == ContainerTests.object && file.form == .safetensors)
    }
}
