internal import ArgumentParser

/// When results are coloured.
enum ColourChoice: String, ExpressibleByArgument, CaseIterable {
    case auto, always, never
}

/// The colours that a result may have.
enum Colours: Equatable {
    case none
    /// The 256 colours that most terminals have.
    case indexed
    /// 24-bit colours.
    case full

    /// The colours of standard output: by `auto` those of a terminal, unless NO_COLOR is set or the terminal is dumb.
    init(_ choice: ColourChoice) {
        let isWanted =
            switch choice {
            case .always: true
            case .never: false
            case .auto: Output.isTerminal && Terminal.value("NO_COLOR") == nil && Terminal.value("TERM") != "dumb"
            }
        let isFull = Terminal.value("COLORTERM").map { ["truecolor", "24bit"].contains($0) } ?? false
        self = isWanted ? (isFull ? .full : .indexed) : .none
    }

    /// What ends a coloured stretch.
    var reset: String { self == .none ? "" : "\u{1B}[0m" }

    /// The escape sequence for the background of a share from 0 (dark blue) to 1 (yellow); empty without colours.
    func background(_ share: Double) -> String {
        switch self {
        case .none: return ""
        case .indexed:
            return
                "\u{1B}[48;5;\(Colours.codes[min(Colours.codes.count - 1, Int(share * Double(Colours.codes.count)))])m"
        case .full:
            let place = max(0, min(1, share)) * Double(Colours.anchors.count - 1)
            let index = min(Colours.anchors.count - 2, Int(place))
            let (low, high, part) = (Colours.anchors[index], Colours.anchors[index + 1], place - Double(index))
            let mixed = zip(low, high).map { Int(($0 + ($1 - $0) * part).rounded()) }
            return "\u{1B}[48;2;\(mixed[0]);\(mixed[1]);\(mixed[2])m"
        }
    }

    /// The escape sequence for the background of what is forbidden.
    var grey: String { self == .none ? "" : "\u{1B}[48;5;240m" }

    /// The escape sequence for white text.
    var white: String { self == .none ? "" : "\u{1B}[38;5;231m" }

    private static let codes = [17, 18, 19, 25, 31, 37, 43, 79, 115, 151, 187, 223, 229]
    private static let anchors: [[Double]] = [
        [22, 22, 96], [24, 74, 140], [24, 130, 150], [70, 180, 140], [190, 215, 110], [253, 240, 150],
    ]
}
