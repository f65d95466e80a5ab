import Formats
import Testing

@Suite("near names")
struct NearNameTests {
    @Test(
        "a misspelt name finds the one that was meant",
        arguments: [
            ("shrnk", "shrink"), ("quantise", "quantize"), ("QUANTIZE", "quantize"), ("evalaute", "evaluate"),
            ("inspct", "inspect"), ("eval", "evaluate"), ("hesh", "hash"),
        ])
    func found(word: String, meant: String) {
        let names = ["shrink", "heal", "cut", "quantize", "inspect", "evaluate", "hash", "pack", "unpack"]
        #expect(NearName.of(word, in: names) == meant)
    }

    @Test("dashes and underscores do not count", arguments: ["q4-k-m", "Q4_KM", "Q4KM"])
    func folded(word: String) {
        #expect(NearName.of(word, in: ["Q4_0", "F16", "Q4_K_M", "NVFP4"]) == "Q4_K_M")
    }

    @Test("a word that is like no name finds none", arguments: ["zip", "8bit", "x", "", "un"])
    func none(word: String) {
        #expect(NearName.of(word, in: ["folder", "safetensors", "gguf", "unpack", "quantize"]) == nil)
    }

    @Test("an abbreviation of two names finds neither")
    func ambiguous() {
        #expect(NearName.of("layer", in: ["layer-prefix-of-all", "layer-numbers-of-all"]) == nil)
    }

    @Test("the distance counts insertions, deletions, changes and swaps")
    func distance() {
        func distance(_ a: String, _ b: String) -> Int { NearName.distance(Array(a.utf8), Array(b.utf8)) }
        #expect(distance("gguf", "gguf") == 0 && distance("ggfu", "gguf") == 1)
        #expect(
            distance("gguff", "gguf") == 1 && distance("gguf", "ggu") == 1 && distance("saftensor", "safetensors") == 2)
    }
}
