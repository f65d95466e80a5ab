internal import Formats

/// Unicode's compatibility decompositions, formats/compatibility.json: `ﬁ` is `fi`, `①` is `1`.
enum CompatibilityForm {
    /// The texts that characters become.
    private static let texts: [Unicode.Scalar: String.UnicodeScalarView] = {
        var result: [Unicode.Scalar: String.UnicodeScalarView] = [:]
        let file = EmbeddedFiles.parsed(under: "compatibility.json").first?.value.object ?? JSONObject()
        for (first, value) in file.members {
            let texts = value.array?.compactMap(\.string).map(\.unicodeScalars)
            let single = (value.string?.unicodeScalars).map { $0.map { String.UnicodeScalarView([$0]) } }
            for (index, text) in (texts ?? single ?? []).enumerated() {
                guard let code = UInt32(first, radix: 16), let scalar = Unicode.Scalar(code + UInt32(index)) else {
                    preconditionFailure("formats/compatibility.json: '\(first)' is no character")
                }
                result[scalar] = text
            }
        }
        return result
    }()

    /// A text with the compatibility decompositions of its characters; canonical ones are left to Unicode's other forms.
    static func decomposed(_ text: [UInt8]) -> String {
        var result = String.UnicodeScalarView()
        for scalar in String(decoding: text, as: UTF8.self).unicodeScalars {
            if scalar.value >= 0x80, let text = texts[scalar] {
                result.append(contentsOf: text)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}
