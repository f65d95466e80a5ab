extension TrainingCurve {
    /// The curve as an SVG picture: the loss of every step, and of held-out text.
    public var picture: String {
        let frame = PictureFrame(self)
        var lines = [
            ##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 400" font-family="sans-serif" font-size="12">"##,
            ##"<rect width="640" height="400" fill="#ffffff"/>"##,
        ]
        for tick in frame.ticks {
            let y = text(frame.y(tick.value))
            lines.append(##"<path d="M60 \##(y)H620" stroke="#dddddd"/>"##)
            lines.append(
                ##"<text x="54" y="\##(y)" text-anchor="end" dominant-baseline="middle">\##(tick.label)</text>"##)
        }
        for step in frame.stepTicks {
            let x = text(frame.x(step))
            lines.append(##"<text x="\##(x)" y="372" text-anchor="middle">\##(step)</text>"##)
        }
        lines.append(##"<path d="M60 20V350H620" fill="none" stroke="#444444"/>"##)
        lines.append(##"<text x="340" y="392" text-anchor="middle">step</text>"##)
        let training = steps.enumerated().map { (step: $0, loss: $1.loss) }
        lines.append(line(training, frame, colour: "#9aa7b5", width: 1))
        let measured = heldOut.map { (step: $0.step, loss: $0.loss) }
        lines.append(line(measured, frame, colour: "#c2410c", width: 2))
        for point in measured {
            lines.append(
                ##"<circle cx="\##(text(frame.x(point.step)))" cy="\##(text(frame.y(point.loss)))" r="3" fill="#c2410c"/>"##
            )
        }
        lines.append(##"<text x="600" y="34" text-anchor="end" fill="#66727f">training</text>"##)
        if !heldOut.isEmpty {
            lines.append(##"<text x="600" y="50" text-anchor="end" fill="#c2410c">held-out text</text>"##)
        }
        return lines.joined(separator: "\n") + "\n</svg>\n"
    }

    private func line(
        _ points: [(step: Int, loss: Double)], _ frame: PictureFrame, colour: String, width: Int
    ) -> String {
        let path = points.map { "\(text(frame.x($0.step))),\(text(frame.y($0.loss)))" }.joined(separator: " ")
        return ##"<polyline points="\##(path)" fill="none" stroke="\##(colour)" stroke-width="\##(width)"/>"##
    }

    private func text(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
}

/// Where losses and steps lie in a picture of 640 by 400.
private struct PictureFrame {
    private let low: Double, high: Double, step: Double
    private let last: Int

    init(_ curve: TrainingCurve) {
        let losses = curve.steps.map(\.loss) + curve.heldOut.map(\.loss)
        let least = losses.min() ?? 0, most = losses.max() ?? 1
        // About five ticks, at multiples of 1, 2 or 5 times a power of ten.
        let rough = max(most - least, 1e-9) / 5
        var power = 1.0
        while power > rough { power /= 10 }
        while power * 10 <= rough { power *= 10 }
        step = power * (rough > 5 * power ? 10 : rough > 2 * power ? 5 : rough > power ? 2 : 1)
        low = (least / step).rounded(.down) * step
        high = max(low + step, (most / step).rounded(.up) * step)
        last = max(1, max(curve.steps.count - 1, curve.heldOut.last?.step ?? 0))
    }

    func x(_ step: Int) -> Double { 60 + 560 * Double(step) / Double(last) }
    func y(_ loss: Double) -> Double { 350 - 330 * (loss - low) / (high - low) }

    /// Losses with their labels, which have as many digits as the step needs.
    var ticks: [(value: Double, label: String)] {
        let count = Int(((high - low) / step).rounded())
        var scale = 1.0
        while (step * scale).rounded() < step * scale * (1 - 1e-9) || step * scale < 0.999 { scale *= 10 }
        return (0...count).map { index in
            let value = low + Double(index) * step
            return (value, "\((value * scale).rounded() / scale)")
        }
    }

    /// About six steps.
    var stepTicks: [Int] {
        let every = max(1, (last + 5) / 6)
        return Array(stride(from: 0, through: last, by: every))
    }
}
