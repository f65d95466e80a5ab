internal import Checkpoints

/// Where text comes from: a file, a folder of files, the text that comes with resect, or what a program holds.
public struct TextSource: Sendable, Equatable {
    /// What is read.
    enum Origin: Sendable, Equatable {
        case path(String)
        case builtin
        case standardInput
        case text([UInt8])
        case tokens([Int32])
    }

    let origin: Origin
    /// What messages and reports call the text.
    public let name: String

    private init(_ origin: Origin, name: String) { (self.origin, self.name) = (origin, name) }

    /// A file of UTF-8 text, or a folder, whose files that are not text are left out.
    public static func path(_ path: String) -> TextSource { TextSource(.path(path), name: path) }

    /// A text.
    public static func text(_ text: String, name: String = "text") -> TextSource {
        TextSource(.text(Array(text.utf8)), name: name)
    }

    /// Tokens of the model that the text is for.
    public static func tokens(_ tokens: [Int32], name: String = "tokens") -> TextSource {
        TextSource(.tokens(tokens), name: name)
    }

    /// Text of several kinds that comes with resect. Some of its documents are held out for evaluation.
    public static let builtin = TextSource(.builtin, name: BuiltinText.name)

    /// The text that is piped into the program, which is read once.
    public static let standardInput = TextSource(.standardInput, name: "standard input")

    /// The file or folder that is read; `nil` for other sources.
    package var path: String? {
        if case .path(let path) = origin { path } else { nil }
    }

    /// The names of the kinds that `builtin` has.
    package static func builtinKinds(judging: Bool) -> [String] { BuiltinText.kinds(judging: judging).map(\.name) }

    /// Whether two sources read a file in common: they are the same, or one is a folder around the other.
    package func shares(_ other: TextSource) -> Bool {
        guard let path, let second = other.path else { return self == other }
        let paths = [path, second].map { FileSystem.absolute($0) }
        return paths[0] == paths[1] || paths[0].hasPrefix(paths[1] + "/") || paths[1].hasPrefix(paths[0] + "/")
    }

    /// Whether it is one text: not a folder of files, and not resect's own text.
    package var isOneText: Bool {
        switch origin {
        case .path(let path): FileSystem.kind(of: path) == .file
        case .builtin: false
        case .standardInput, .text, .tokens: true
        }
    }

    /// The source that an argument of a command names: `builtin`, `-` for standard input, or a path.
    public init(argument: String) {
        switch argument {
        case BuiltinText.name: self = .builtin
        case "-": self = .standardInput
        default: self = .path(argument)
        }
    }
}
