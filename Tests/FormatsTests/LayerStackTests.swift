import Formats
import Testing

@Suite("numbered tensors")
struct LayerStackTests {
    @Test("every prefix with numbers is a stack, by the first number of a name")
    func found() throws {
        let names = (0..<3).flatMap { ["h.\($0).a", "h.\($0).b", "e.\($0).w.7.x"] } + ["x.5.y", "plain", "7.z"]
        let stacks = LayerStack.all(in: names)
        #expect(stacks.map(\.prefix) == ["e.", "h.", "x."])
        #expect(stacks.map(\.layers) == [[0, 1, 2], [0, 1, 2], [5]])
        #expect(stacks.map(\.missing) == [nil, nil, 0])
    }

    @Test("the first missing number of a stack is known")
    func missing() {
        #expect(LayerStack.all(in: ["a.0.b", "a.3.b", "a.1.c"]).map(\.missing) == [2])
        #expect(LayerStack.all(in: ["a.0.b", "a.3.b", "a.1.c"]).map(\.count) == [4])
    }

    @Test("names without a number between dots make no stack")
    func none() {
        #expect(LayerStack.all(in: ["a.00.b", "a.b.c", "0.a", "a.0", ""]).isEmpty)
    }

    @Test("prefixes that differ only in composition are two")
    func composition() {
        let names = ["caf\u{e9}.0.w", "cafe\u{301}.0.w", "caf\u{e9}.1.w"]
        #expect(LayerStack.all(in: names).map(\.count) == [1, 2])
        #expect(LayerStack.all(in: names.reversed()).map(\.count) == [1, 2])
    }

    @Test("experts inside a layer are no stack of their own")
    func experts() {
        let names = (0..<2).flatMap { layer in (0..<8).map { "m.layers.\(layer).experts.\($0).w" } }
        #expect(LayerStack.all(in: names).map(\.prefix) == ["m.layers."])
    }

    @Test("a pattern reads the layer out of a name and writes another one into it")
    func pattern() {
        let pattern = LayerPattern(prefix: "h.", count: 5, predictorCount: 1)
        #expect(pattern.layer(of: "h.2.a") == 2 && pattern.layer(of: "e.2.w") == nil && pattern.layer(of: "h.2") == nil)
        #expect(pattern.renumber("h.2.a.3.b", to: 11) == "h.11.a.3.b")
        #expect(pattern.decoderCount == 4)
    }
}
