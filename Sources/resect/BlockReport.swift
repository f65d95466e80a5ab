internal import Analysis
internal import Formats

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// What the measured blocks cost.
enum BlockReport {
    /// A table of the candidates, with the one that is taken marked.
    static func print(_ loss: BlockLoss) {
        var table = Table(["block", "distance", "loss", "perplexity", ""])
        table.add(["whole", "", loss.whole.fixed(4), exp(loss.whole).fixed(2), ""])
        for block in loss.blocks {
            let measured = block.loss ?? .nan
            table.add([
                block.layers.text, block.distance.fixed(4), measured.fixed(4), exp(measured).fixed(2),
                block.layers == loss.best?.layers ? "<" : "",
            ])
        }
        table.print()
        // What follows takes its time, or is said on the other stream.
        Output.flush()
    }

    /// The same as members of an answer.
    static func json(_ loss: BlockLoss, chosen: Block) -> [(String, JSON)] {
        [
            ("distance", .double(chosen.distance)), ("loss", .double(chosen.loss ?? .nan)),
            ("wholeLoss", .double(loss.whole)),
            (
                "candidates",
                .array(
                    loss.blocks.map { block in
                        .object(
                            JSONObject([
                                ("start", .int(block.layers.lowerBound)), ("end", .int(block.layers.upperBound)),
                                ("distance", .double(block.distance)), ("loss", .double(block.loss ?? .nan)),
                            ]))
                    })
            ),
        ]
    }
}
