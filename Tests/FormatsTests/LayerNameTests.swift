import Formats
import Testing

@Suite("names in layers")
struct LayerNameTests {
    @Test(
        "a name is taken apart at its first number between dots, and put together again",
        arguments: [
            ("model.layers.3.mlp.up_proj.weight", "model.layers.", 3, ".mlp.up_proj.weight"),
            ("blk.0.x", "blk.", 0, ".x"), ("h.10.experts.7.w", "h.", 10, ".experts.7.w"), ("7.h.2.w", "7.h.", 2, ".w"),
            (".5.w", ".", 5, ".w"), ("a.03.4.w", "a.03.", 4, ".w"), ("a.1.", "a.", 1, "."),
            ("a.1.\u{301}w", "a.", 1, ".\u{301}w"), ("e\u{301}.999999999.w", "e\u{301}.", 999_999_999, ".w"),
        ])
    func parts(name: String, prefix: String, layer: Int, suffix: String) throws {
        for parts in [LayerName(name), LayerName(name, prefix: prefix)] {
            let parts = try #require(parts)
            #expect(ExactString(String(parts.prefix)) == ExactString(prefix) && parts.layer == layer)
            #expect(ExactString(String(parts.suffix)) == ExactString(suffix))
            #expect(ExactString(parts.renumbered(layer)) == ExactString(name))
            #expect(parts.renumbered(12).utf8.elementsEqual((prefix + "12" + suffix).utf8))
        }
        #expect(LayerName(name, prefix: prefix + "x") == nil)
    }

    @Test(
        "other names have no layer",
        arguments: ["", ".", "3", "3.w", "a.3", "a.03.w", "a.-1.w", "a.3x.w", "a.٣.w", "a.1000000000.w", "a..w"])
    func none(name: String) {
        #expect(LayerName(name) == nil && LayerName(name, prefix: "a.") == nil)
    }

    @Test("what stands behind the number begins after the dot, whatever that is")
    func suffix() {
        let pattern = LayerPattern(prefix: "a.", count: 2)
        #expect(pattern.suffix(of: "a.1.\u{301}w")?.unicodeScalars.first == "\u{301}")
        #expect(pattern.suffix(of: "b.1.w") == nil && pattern.renumber("b.1.w", to: 0) == "b.1.w")
    }
}
