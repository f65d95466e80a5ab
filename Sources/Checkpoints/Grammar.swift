extension BinaryInteger {
    /// The number with its ending: `1st`, `2nd`, `11th`.
    package var ordinal: String {
        let (ones, tens) = (magnitude % 10, magnitude % 100 / 10)
        let ending = tens == 1 ? "th" : ones == 1 ? "st" : ones == 2 ? "nd" : ones == 3 ? "rd" : "th"
        return grouped + ending
    }
}

/// A number of things: `1 file`, `12 files`.
///
/// - Parameter things: the plural, where it is not the singular with an s.
package func counted(_ number: Int, _ thing: String, _ things: String? = nil) -> String {
    "\(number.grouped) \(number == 1 ? thing : things ?? thing + "s")"
}

extension Double {
    /// The number with this many decimals.
    package func fixed(_ decimals: Int) -> String {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        guard isFinite, magnitude * scale < 1e18 else { return description }
        let rounded = Int((magnitude * scale).rounded())
        let digits = String(rounded)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        let sign = self < 0 && rounded > 0 ? "-" : ""
        guard decimals > 0 else { return sign + padded }
        return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }
}
