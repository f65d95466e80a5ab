/// The vocabulary of a model: its tokens, merges and special tokens, from whichever container.
public struct Vocabulary: Sendable, Equatable {
    /// How text is cut into tokens.
    public enum Model: String, Sendable, CaseIterable {
        /// Byte-level byte-pair encoding.
        case byteLevelBPE = "gpt2"
        /// SentencePiece's byte-pair encoding of characters. A character without a token becomes the tokens of its
        /// bytes.
        case sentencePieceBPE = "llama"
        /// SentencePiece's unigram model: the division into tokens whose scores have the largest sum.
        case unigram = "t5"
    }

    /// The kind of a token, with GGUF's numbers.
    public enum TokenKind: Int32, Sendable {
        /// An ordinary token.
        case normal = 1
        /// The unknown token.
        case unknown = 2
        /// A control token, which merges never produce from text.
        case control = 3
        /// Added by the model's makers, and matched in text.
        case userDefined = 4
        /// An id without a token.
        case unused = 5
        /// One byte.
        case byte = 6
    }

    /// A token that is matched in the text before it is split.
    public struct AddedToken: Sendable, Equatable {
        /// Its number.
        public var id: Int
        /// Its text.
        public var content: String
        /// Whether it is a control token.
        public var special: Bool
        /// Whether it consumes white space on its left.
        public var stripsLeft: Bool
        /// Whether it consumes white space on its right.
        public var stripsRight: Bool
        /// Whether it matches only between word boundaries.
        public var singleWord: Bool
        /// Whether it is matched in normalized text.
        public var normalized: Bool

        /// An added token.
        public init(
            id: Int, content: String, special: Bool, stripsLeft: Bool = false,
            stripsRight: Bool = false, singleWord: Bool = false, normalized: Bool = false
        ) {
            self.id = id
            self.content = content
            self.special = special
            self.stripsLeft = stripsLeft
            self.stripsRight = stripsRight
            self.singleWord = singleWord
            self.normalized = normalized
        }
    }

    /// Two tokens that become one.
    public struct Merge: Sendable, Equatable {
        /// The token on the left.
        public var left: String
        /// The token on the right.
        public var right: String

        /// A merge of two tokens.
        public init(_ left: String, _ right: String) {
            self.left = left
            self.right = right
        }
    }

    /// A Jinja template that turns a conversation into text.
    public struct ChatTemplate: Sendable, Equatable {
        /// The name of the default template.
        public static let defaultName = "default"
        /// Its name: `default`, `tool_use`, `rag`.
        public var name: String
        /// The Jinja text.
        public var text: String

        /// A template.
        public init(name: String = ChatTemplate.defaultName, text: String) {
            self.name = name
            self.text = text
        }
    }

    /// How text is cut into tokens.
    public var model: Model
    /// The name of the pre-tokenizer, as GGUF has it: `gpt-2`, `smollm`, `llama-bpe`, `qwen2`; SentencePiece's is `default`.
    public var preTokenizer: String
    /// What is done to the text before it is cut.
    public var normalizations: [Normalization]
    /// How SentencePiece's models put spaces into tokens; `nil` where the normalizations do, and for byte-level BPE.
    public var metaspace: Metaspace?
    /// Whether characters without a token become the tokens of their bytes (`byte_fallback`).
    public var fallsBackToBytes = false
    /// Whether neighbouring unknown characters become one unknown token (`fuse_unk`).
    public var fusesUnknown = false
    /// The text of every token: bytes as GPT-2's printable characters for normal tokens, unchanged for added ones.
    public var tokens: [String]
    /// The kind of every token.
    public var kinds: [TokenKind]
    /// SentencePiece's scores of the tokens; tokens that were added later have none. Empty when merges alone decide.
    public var scores: [Float] = []
    /// The merges in order of rank, as pairs, because a token may contain a space.
    public var merges: [Merge]
    /// The added tokens.
    public var addedTokens: [AddedToken]
    /// Whether a piece that is itself a token skips the merges (`ignore_merges`).
    public var ignoresMerges: Bool
    /// The token that begins a text.
    public var beginningID: Int?
    /// The token that ends a text.
    public var endID: Int?
    /// The unknown token.
    public var unknownID: Int?
    /// The token that fills up a batch.
    public var paddingID: Int?
    /// The token between two texts.
    public var separatorID: Int?
    /// The token that stands for a hidden token.
    public var maskID: Int?
    /// More tokens that end a generation, after `endID`: a config.json may list several.
    public var otherEndIDs: [Int] = []
    /// Whether the beginning token is added before every text; `nil` when not stated.
    public var addsBeginning: Bool?
    /// Whether the end token is added after every text; `nil` when not stated.
    public var addsEnd: Bool?
    /// Whether a separator is added between two texts; `nil` when not stated.
    public var addsSeparator: Bool?
    /// Whether a space is added before the text (`add_prefix_space`); `nil` when not stated.
    public var addsSpacePrefix: Bool?
    /// The templates of a conversation, the default one first.
    public var chatTemplates: [ChatTemplate] = []
    /// Whether llama.cpp's converter keeps the kind `unknown` for a token that is also a special one.
    var keepsUnknownKind = false
    /// Notes for the user: files that disagree, settings that runtimes read differently.
    public var notes: [String] = []

    /// A vocabulary, with the normalizations that belong to the pre-tokenizer.
    public init(
        model: Model = .byteLevelBPE, preTokenizer: String, tokens: [String], kinds: [TokenKind],
        merges: [Merge], addedTokens: [AddedToken] = [], ignoresMerges: Bool = false
    ) {
        self.model = model
        self.preTokenizer = preTokenizer
        normalizations = model == .byteLevelBPE ? Vocabulary.normalizations(of: preTokenizer) : []
        self.tokens = tokens
        self.kinds = kinds
        self.merges = merges
        self.addedTokens = addedTokens
        self.ignoresMerges = ignoresMerges
    }

    /// Whether an id has no token: converters write `[PAD<id>]` for rows of the embedding that the tokenizer does not
    /// use.
    package func isPlaceholder(_ id: Int) -> Bool { kinds[id] == .unused && tokens[id] == Vocabulary.placeholder(id) }

    /// The placeholder text of an id without a token.
    static func placeholder(_ id: Int) -> String { "[PAD\(id)]" }
}
