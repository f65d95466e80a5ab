package import Analysis
package import Checkpoints
package import Formats
package import Surgery

extension Provenance {
    /// What a step says of a text: its name, and its hash where it is a file.
    package static func text(_ source: TextSource) throws(CheckpointError) -> JSON {
        try source.path.map { (path) throws(CheckpointError) in try Provenance.text(path) }
            ?? .object(JSONObject([("name", .string(source.name))]))
    }
}
