public import Checkpoints
internal import Formats
internal import Surgery

/// What can be done with the models of an architecture, found out with a small model made of its description.
public struct FamilyAbilities: Sendable {
    /// What models of the family can do; those of one with optional parts may do less.
    public let refusals: [(ability: ModelAbilities.Ability, reason: CheckpointError?)]

    /// Makes the checks.
    public init(_ architecture: Architecture) {
        do throws(CheckpointError) {
            let folder = try SampleModel(architecture).folder()
            var found = ModelAbilities(folder, [.run, .gguf]).refusals
            found.append((.folder, FamilyAbilities.refusalBack(from: folder)))
            refusals = found + ModelAbilities(folder, [.heal, .train]).refusals
        } catch {
            refusals = [.run, .gguf, .folder, .heal, .train].map { ($0, error) }
        }
    }

    /// Why GGUF cannot be converted to a folder.
    private static func refusalBack(from folder: Checkpoint) -> CheckpointError? {
        do throws(CheckpointError) {
            _ = try Convert(to: .folder).apply(to: Convert(to: .gguf).apply(to: folder))
            return nil
        } catch { return error }
    }

    /// Whether an ability is there.
    public func has(_ ability: ModelAbilities.Ability) -> Bool {
        refusals.contains { $0.ability == ability && $0.reason == nil }
    }
}
