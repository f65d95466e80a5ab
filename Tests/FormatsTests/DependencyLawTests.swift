import TestSupport
import Testing

/// What each target may import: the arrows of the design. Whatever an arrow reaches may be imported too.
@Suite("the dependency law")
struct DependencyLawTests {
    static let arrows: [String: Set<String>] = [
        "resect": ["Healing", "ArgumentParser"],
        "Healing": ["Surgery", "Analysis"],
        "Analysis": ["Decoder", "CTexts"],
        "Decoder": ["Tokenization", "Weights"],
        "Surgery": ["Weights"],
        "Weights": ["Checkpoints", "Kernels"],
        "Tokenization": ["Checkpoints"],
        "Checkpoints": ["Formats", "Parallel", "CStorage", "CZstd", "CXXHash"],
        "Kernels": ["Formats", "Parallel", "CKernels"],
        "Formats": ["CFormats"],
        "Parallel": [],
    ]
    static let systemModules: Set<String> = ["Glibc", "Darwin", "Dispatch", "Synchronization"]

    @Test("a target imports only what its arrows reach", arguments: arrows.keys.sorted())
    func imports(target: String) throws {
        let allowed = DependencyLawTests.reached(from: target).union(DependencyLawTests.systemModules)
        let files = DependencyLawTests.swiftFiles(Fixture.root + "/Sources/" + target)
        try #require(!files.isEmpty)
        for file in files {
            for module in DependencyLawTests.modules(in: file) {
                #expect(allowed.contains(module), "\(file) imports \(module)")
            }
        }
    }

    @Test("every target under Sources is in the law, or is C")
    func complete() {
        for target in Files.names(Fixture.root + "/Sources") {
            let swift = DependencyLawTests.swiftFiles(Fixture.root + "/Sources/" + target)
            #expect(swift.isEmpty == (DependencyLawTests.arrows[target] == nil), "\(target)")
        }
    }

    @Test("import lines are found in all their forms")
    func forms() {
        let text = """
            import A
            public import B.C
            @testable  import D
            internal import struct E.F // import X
            // import Y
            let important = 1
                package import G
            """
        #expect(DependencyLawTests.modules(of: text) == ["A", "B", "D", "E", "G"])
    }

    private static func reached(from target: String) -> Set<String> {
        arrows[target, default: []].reduce(into: []) { $0.formUnion(reached(from: $1).union([$1])) }
    }

    private static func swiftFiles(_ path: String) -> [String] {
        if path.hasSuffix(".swift") { return [path] }
        return Files.names(path).flatMap { swiftFiles(path + "/" + $0) }
    }

    private static func modules(in file: String) -> [String] {
        modules(of: String(decoding: Files.read(file), as: UTF8.self))
    }

    private static func modules(of text: String) -> [String] {
        let words: Set<Substring> = [
            "public", "package", "internal", "fileprivate", "private", "@testable", "@preconcurrency", "@_exported",
        ]
        let kinds: Set<Substring> = ["struct", "class", "enum", "func", "var", "let", "protocol", "typealias"]
        return text.split(whereSeparator: \.isNewline).compactMap { line in
            let rest = line.split(separator: " ").drop { words.contains($0) }
            guard rest.first == "import" else { return nil }
            let name = rest.dropFirst().drop { kinds.contains($0) }.first ?? ""
            return String(name.prefix { $0 != "." && $0 != ";" })
        }
    }
}
