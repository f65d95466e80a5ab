internal import Checkpoints

extension Double {
    /// The number with three significant digits: `0`, `12.3`, `1.23e-05`.
    var short: String {
        guard isFinite, self != 0 else { return self == 0 ? "0" : description }
        var exponent = 0
        var scaled = magnitude
        while scaled >= 9.995 { (scaled, exponent) = (scaled / 10, exponent + 1) }
        while scaled < 0.9995 { (scaled, exponent) = (scaled * 10, exponent - 1) }
        if (-3...2).contains(exponent) { return fixed(2 - exponent) }
        let digits = String(exponent.magnitude)
        return (self < 0 ? "-" : "") + scaled.fixed(2) + "e" + (exponent < 0 ? "-" : "+")
            + String(repeating: "0", count: max(0, 2 - digits.count)) + digits
    }
}

extension Int {
    /// A number of bytes with a suitable unit.
    var byteText: String {
        let units: [(Double, String)] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
        guard let (scale, unit) = units.first(where: { Double(self) >= $0.0 }) else { return "\(self) B" }
        return (Double(self) / scale).fixed(2) + " " + unit
    }

    /// A number of parameters with a suitable unit.
    var countText: String {
        let units: [(Double, String)] = [(1e9, " B"), (1e6, " M"), (1e3, " k")]
        guard let (scale, unit) = units.first(where: { Double(self) >= $0.0 }) else { return "\(self)" }
        return (Double(self) / scale).fixed(2) + unit
    }
}

extension String {
    /// The text padded with spaces to a width.
    func padded(_ width: Int, right: Bool = false) -> String {
        let fill = String(repeating: " ", count: max(0, width - count))
        return right ? fill + self : self + fill
    }
}

extension Range<Int> {
    /// `21:29`
    var text: String { "\(lowerBound):\(upperBound)" }
}
