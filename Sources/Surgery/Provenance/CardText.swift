internal import Checkpoints
internal import Formats

/// The text of a model card, README.md: front matter between two lines `---`, and Markdown behind it.
///
/// Everything that it says already stays as it is, byte for byte, also in another encoding than UTF-8 and with other line
/// ends. Only the section about the history is replaced, up to the next heading.
struct CardText {
    static let fileName = "README.md"
    private static let heading = "## How this model was made", opening = "With resect ", tag = "resect"
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF], fence = "---"

    /// Lines without the line feed; a carriage return belongs to the line.
    private var front: [[UInt8]], body: [[UInt8]]
    private let hasFront: Bool
    /// What comes before the front matter, and after each line that is added.
    private let mark: [UInt8], lineEnd: [UInt8]

    init(_ contents: [UInt8]) {
        mark = contents.starts(with: CardText.byteOrderMark) ? CardText.byteOrderMark : []
        var lines = contents.dropFirst(mark.count).split(separator: 0x0A, omittingEmptySubsequences: false)
            .map(Array.init)
        lineEnd = lines[0].last == 0x0D ? [0x0D] : []
        guard CardText.text(lines[0]) == CardText.fence,
            let end = lines.dropFirst().firstIndex(where: { CardText.text($0) == CardText.fence })
        else {
            (front, body, hasFront) = ([], lines, false)
            return
        }
        hasFront = true
        front = Array(lines[1..<end])
        lines.removeFirst(end + 1)
        body = lines
    }

    /// The card with the history.
    func adding(_ provenance: Provenance, baseModel: String?, of checkpoint: Checkpoint) -> [UInt8] {
        var card = self
        let isNew = !hasFront && body.allSatisfy(\.isEmpty)
        func add(_ lines: String...) { card.front += lines.map(line) }
        if let baseModel, !has("base_model") { add("base_model: \(baseModel)") }
        // A folder of MLX has its own library.
        if isNew, checkpoint.config?["quantization"] == nil { add("library_name: transformers") }
        if !has("tags") { add("tags:", "- \(CardText.tag)") }
        if isNew { card.body = ["", "# Made from \(baseModel ?? provenance.origin ?? "a model")"].map(line) }
        let section = CardText.section(provenance, layers: checkpoint.layerCount).map(line)
        if let range = card.history {
            let isLast = range.upperBound == card.body.count
            card.body.replaceSubrange(range, with: section + [isLast ? [] : line("")])
        } else {
            card.trimEnd()
            card.body += [line("")] + section + [[]]
        }
        return card.contents
    }

    /// The card without the section about the history.
    var withoutHistory: [UInt8] {
        var card = self
        guard let range = history else { return contents }
        card.body.removeSubrange(range)
        if range.lowerBound == card.body.count {
            card.trimEnd()
            card.body.append([])
        }
        return card.contents
    }

    private var contents: [UInt8] {
        let fence = line(CardText.fence)
        let lines = front.isEmpty && !hasFront ? body : [fence] + front + [fence] + body
        return mark + lines.joined(separator: [0x0A])
    }

    /// The lines of the section that an earlier step wrote: to the next heading of its rank, or to the end.
    private var history: Range<Int>? {
        guard
            let start = body.indices.first(where: { index in
                CardText.text(body[index]) == CardText.heading
                    && body[(index + 1)...].lazy.map(CardText.text).first { !$0.isEmpty }?.hasPrefix(CardText.opening)
                        == true
            })
        else { return nil }
        let end = body[(start + 1)...].firstIndex { line in
            let text = CardText.text(line)
            return text.hasPrefix("# ") || text.hasPrefix("## ")
        }
        return start..<(end ?? body.count)
    }

    private mutating func trimEnd() { while let last = body.last, CardText.text(last).isEmpty { body.removeLast() } }

    private func has(_ key: String) -> Bool { front.contains { CardText.text($0).hasPrefix(key + ":") } }

    private func line(_ text: String) -> [UInt8] { Array(text.utf8) + lineEnd }

    /// A line without white space at its end.
    private static func text(_ line: [UInt8]) -> String {
        let end = line.lastIndex { ![0x09, 0x0D, 0x20].contains($0) } ?? -1
        return String(decoding: line[...end], as: UTF8.self)
    }

    private static func section(_ provenance: Provenance, layers: Int) -> [String] {
        var lines = [
            heading, "",
            opening + "\(provenance.version); `resect apply \(Provenance.fileName) MODEL -o OUTPUT` does it again.",
        ]
        for step in provenance.steps {
            lines += ["", "    \(step.line.escapingControls)"]
            if !step.dropped.isEmpty {
                lines += ["", "It deleted \(words(step.dropped)), counted from 0."]
            }
            let measured = step.measured.members.compactMap { key, value in
                value.double.map { _ in "\(key) \(value.compact)" }
            }
            if !measured.isEmpty {
                lines += ["", "Perplexity on held-out text: \(measured.joined(separator: ", "))."]
            }
        }
        return lines + ["", "The model has \(layers) layers."]
    }

    /// Layers in words. A history that somebody wrote may name them in another way.
    private static func words(_ dropped: [String]) -> String {
        var runs: [Range<Int>] = []
        for text in dropped {
            let ends = text.split(separator: ":").compactMap { Int($0) }
            guard ends.count == 2, ends[0] >= 0, ends[0] < ends[1] else {
                return "layers " + dropped.joined(separator: ", ")
            }
            runs.append(ends[0]..<ends[1])
        }
        return LayerRuns(runs).words
    }
}
