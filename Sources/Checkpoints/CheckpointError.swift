/// What went wrong with a file: which one, which tensor, where, and what a user can do.
///
/// The message is one line, lower case, without a full stop, with both numbers where two disagree.
public struct CheckpointError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or folder, as the user named it.
    public var file: String?
    /// The tensor, when one is concerned.
    public var tensor: String?
    /// The byte offset in the file.
    public var byteOffset: Int?
    /// The problem.
    public var problem: String
    /// A real next step; `nil` when there is none.
    public var hint: String?

    /// Describes a problem.
    public init(
        file: String? = nil, tensor: String? = nil, byteOffset: Int? = nil, _ problem: String,
        hint: String? = nil
    ) {
        self.file = file
        self.tensor = tensor
        self.byteOffset = byteOffset
        self.problem = problem
        self.hint = hint
    }

    /// The message on one line, with control characters escaped.
    public var description: String {
        var text = ""
        if let file { text += file + ": " }
        if let tensor { text += "tensor '\(tensor)' " }
        text += problem
        if let byteOffset { text += " (at byte \(byteOffset.grouped))" }
        return text.escapingControls
    }
}

extension String {
    /// The text with control characters written as `\xNN`, so that a hostile name cannot drive a terminal.
    package var escapingControls: String {
        var text = ""
        for scalar in unicodeScalars {
            if scalar.value < 0x20 || 0x7F..<0xA0 ~= scalar.value {
                let digits = String(scalar.value, radix: 16)
                text += "\\x" + (digits.count < 2 ? "0" : "") + digits
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}

extension BinaryInteger {
    /// The number with commas between thousands.
    package var grouped: String {
        let digits = String(magnitude)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += "," }
            text.append(digit)
        }
        return (self < 0 ? "-" : "") + text
    }
}
