/// A string compared byte by byte.
///
/// Swift's `String` equality is canonical equivalence: two tensor names that differ only in how an
/// accent is composed would be one dictionary key. In a checkpoint they are two tensors.
public struct ExactString: Hashable, Sendable {
    /// The text itself.
    public let text: String

    /// Wraps a string for comparison by bytes.
    public init(_ text: String) { self.text = text }

    /// Whether both have the same UTF-8 bytes.
    public static func == (a: ExactString, b: ExactString) -> Bool {
        guard a.text.utf8.count == b.text.utf8.count else { return false }
        var (a, b) = (a.text, b.text)
        return a.withUTF8 { a in b.withUTF8 { b in a.elementsEqual(b) } }
    }

    /// Feeds the UTF-8 bytes to the hasher.
    public func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension String {
    /// Whether the text contains another one, byte for byte.
    ///
    /// `contains` compares characters and is about fifty times slower on tensor names.
    package func containsBytes(of fragment: String) -> Bool { self[...].containsBytes(of: fragment) }
}

extension Substring {
    /// Whether the text contains another one, byte for byte.
    package func containsBytes(of fragment: String) -> Bool {
        var text = self, fragment = fragment
        return text.withUTF8 { text in
            fragment.withUTF8 { fragment in
                guard fragment.count <= text.count else { return false }
                return (0...text.count - fragment.count).contains { start in
                    fragment.indices.allSatisfy { text[start + $0] == fragment[$0] }
                }
            }
        }
    }
}
