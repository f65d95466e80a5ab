/// What a line of progress says, in as many columns as there are.
struct ProgressLine {
    let label: String
    let share: Double
    /// `2 of 5`; `nil` where phases are not counted.
    let phase: String?
    let rate: String
    let secondsLeft: Double?

    private static let widestBar = 24, narrowestBar = 6

    /// The line. What there is no room for is left out: the bar gets shorter, then the rate, the bar, the phase and the time go.
    func text(width: Int) -> String {
        // A line as wide as the terminal would wrap.
        let room = max(1, width - 1)
        let percent = "\(Int(share * 100))%".padded(4, right: true)
        let name = room >= 60 ? label.padded(8) : label
        let time = secondsLeft.map(ProgressLine.time)
        let choices: [[String?]] = [[phase, rate, time], [phase, time], [time], []]
        for (index, tail) in choices.enumerated() {
            let end = tail.compactMap(\.self).map { "  " + $0 }.joined()
            let bar = min(ProgressLine.widestBar, room - name.count - percent.count - end.count - 2)
            // The rate yields to a bar, the phase and the time do not.
            if bar >= ProgressLine.narrowestBar { return "\(name) \(drawn(bar)) \(percent)\(end)" }
            let bare = ([label, "\(Int(share * 100))%"] + tail.compactMap(\.self)).joined(separator: " ")
            if index > 0, bare.count <= room { return bare }
        }
        return String("\(label) \(percent)".suffix(room))
    }

    private func drawn(_ width: Int) -> String {
        let filled = max(0, min(width, Int(share * Double(width))))
        return String(repeating: "━", count: filled) + String(repeating: "─", count: width - filled)
    }

    private static func time(_ seconds: Double) -> String {
        let whole = Int(min(seconds, 1e6))
        func two(_ number: Int) -> String { String("\(number + 100)".dropFirst()) }
        let (hours, minutes) = (whole / 3600, whole / 60 % 60)
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(whole % 60)) left" : "\(minutes):\(two(whole % 60)) left"
    }
}
