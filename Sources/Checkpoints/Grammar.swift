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
