import Formats
import Testing

@Suite("element types")
struct DTypeTests {
    @Test(
        "the block sizes are the sums of their fields",
        arguments: [
            ("F32", 1, 4), ("F16", 1, 2), ("BF16", 1, 2), ("F64", 1, 8),
            ("Q4_0", 32, 2 + 16), ("Q4_1", 32, 2 + 2 + 16), ("Q5_0", 32, 2 + 4 + 16), ("Q5_1", 32, 2 + 2 + 4 + 16),
            ("Q8_0", 32, 2 + 32), ("Q8_1", 32, 4 + 32), ("Q2_K", 256, 16 + 64 + 2 + 2), ("Q3_K", 256, 32 + 64 + 12 + 2),
            ("Q4_K", 256, 2 + 2 + 12 + 128), ("Q5_K", 256, 2 + 2 + 12 + 32 + 128), ("Q6_K", 256, 128 + 64 + 16 + 2),
            ("Q8_K", 256, 4 + 256 + 32), ("IQ4_NL", 32, 2 + 16), ("IQ4_XS", 256, 2 + 2 + 4 + 128),
            ("IQ2_XXS", 256, 2 + 64), ("IQ2_XS", 256, 2 + 64 + 8), ("IQ2_S", 256, 2 + 64 + 16),
            ("IQ3_XXS", 256, 2 + 96),
            ("IQ3_S", 256, 2 + 64 + 8 + 32 + 4), ("IQ1_S", 256, 2 + 32 + 16), ("IQ1_M", 256, 32 + 16 + 8),
            ("TQ1_0", 256, 2 + 4 + 48), ("TQ2_0", 256, 2 + 64), ("MXFP4", 32, 1 + 16),
        ])
    func blockSizes(name: String, elements: Int, bytes: Int) throws {
        let dtype = try #require(DType(named: name))
        #expect(dtype.blockCount == elements)
        #expect(dtype.blockByteCount == bytes)
    }

    @Test("names and ggml's numbers are unique and found again")
    func unique() {
        let all = DType.all
        #expect(Set(all.map(\.name)).count == all.count)
        let numbers = all.compactMap(\.ggml)
        #expect(Set(numbers).count == numbers.count)
        for dtype in all {
            #expect(DType(named: dtype.name) == dtype)
            #expect(DType(named: dtype.name.lowercased()) == dtype)
            #expect(dtype.ggml.map { DType(ggml: $0) == dtype } ?? true)
            #expect(dtype.ggml != nil || dtype.isSafetensors)
        }
        // Numbers that ggml has taken back.
        for number: UInt32 in [4, 5, 31, 32, 33, 36, 37, 38, .max] { #expect(DType(ggml: number) == nil) }
    }

    @Test("bytes are counted in whole blocks", arguments: DType.all)
    func byteCounts(dtype: DType) {
        #expect(dtype.byteCount(of: 0) == 0)
        #expect(dtype.byteCount(of: dtype.blockCount * 3) == dtype.blockByteCount * 3)
        if dtype.blockCount > 1 { #expect(dtype.byteCount(of: dtype.blockCount + 1) == nil) }
        let most = Int.max / dtype.blockCount * dtype.blockCount
        #expect(dtype.byteCount(of: most) == nil || dtype.blockByteCount <= dtype.blockCount)
        #expect(dtype.bitsPerElement > 0 && dtype.bitsPerElement <= 64)
    }

    @Test("a fall-back has smaller blocks and not fewer bits", arguments: DType.all.filter { $0.fallback != nil })
    func fallbacks(dtype: DType) throws {
        let fallback = try #require(dtype.fallback)
        #expect(fallback.blockCount < dtype.blockCount)
        #expect(fallback.bitsPerElement >= dtype.bitsPerElement)
        #expect(fallback.fallback == nil)
    }
}

@Suite("pre-tokenizers")
struct PreTokenizerTests {
    @Test(
        "each is matched by its own definition, and found by each of its names", arguments: PreTokenizer.all.map(\.name)
    )
    func matched(name: String) throws {
        let known = try #require(PreTokenizer.named(name))
        let found = PreTokenizer.matching(definition: known.definition, normalizer: known.normalizer)
        #expect(found?.file == known.file)
        #expect(known.architectures.allSatisfy { found?.named(for: $0, ignoresMerges: false).name == name })
        for alias in known.aliases { #expect(PreTokenizer.named(alias)?.name == name) }
    }

    @Test("names and aliases are unique")
    func unique() {
        let names = PreTokenizer.all.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
    }

    @Test("a definition counts by what it does, not by how it is written")
    func equivalent() throws {
        let definition = try JSON.parse(
            #"{"use_regex":true,"type":"ByteLevel","trim_offsets":false,"add_prefix_space":false}"#)
        #expect(PreTokenizer.matching(definition: definition, normalizer: nil)?.name == "gpt-2")
        let sequence = JSON.object(
            JSONObject([("type", .string("Sequence")), ("pretokenizers", .array([definition]))]))
        #expect(PreTokenizer.matching(definition: sequence, normalizer: .null)?.name == "gpt-2")
    }

    @Test(
        "another behaviour is not matched",
        arguments: [
            #"{"type":"ByteLevel","add_prefix_space":true}"#,
            #"{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}"#,
            #"{"type":"Whitespace"}"#, #"{"type":"Metaspace"}"#, "null", "{}", "[]", "1",
        ])
    func others(text: String) throws {
        #expect(PreTokenizer.matching(definition: try JSON.parse(text), normalizer: nil) == nil)
    }

    @Test("the normalizer chooses among those that cut in the same way")
    func normalized() throws {
        let gpt2 = PreTokenizer.named("gpt-2")?.definition
        let composed = try JSON.parse(#"{"type":"NFC"}"#), lowercase = try JSON.parse(#"{"type":"Lowercase"}"#)
        #expect(PreTokenizer.matching(definition: gpt2, normalizer: composed)?.name == "olmo")
        #expect(PreTokenizer.matching(definition: gpt2, normalizer: lowercase)?.name == "gpt-2")
    }

    /// The names are those of convert_hf_to_gguf.py for SmolLM, StarCoder 2, Granite 3, Command R, Llama 3, OLMo 2 and GLM-4.
    @Test(
        "the architecture and the merges choose the name for GGUF",
        arguments: [
            ("smollm", "llama", false, "smollm"), ("smollm", "starcoder2", false, "starcoder"),
            ("smollm", "granite", false, "refact"), ("smollm", "command-r", false, "command-r"),
            ("llama-bpe", "llama", true, "llama-bpe"), ("llama-bpe", "olmo2", false, "dbrx"),
            ("llama-bpe", "glm4", true, "glm4"), ("llama-bpe", "llama", false, "dbrx"),
            ("gpt-2", "phi2", false, "phi-2"), ("olmo", "gptneox", false, "olmo"),
        ])
    func named(start: String, architecture: String, ignoresMerges: Bool, name: String) {
        #expect(PreTokenizer.named(start)?.named(for: architecture, ignoresMerges: ignoresMerges).name == name)
    }
}
