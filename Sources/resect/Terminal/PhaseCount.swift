internal import Healing
internal import Synchronization

/// The phases of a command, which of them runs, and how fast the work was so far.
enum PhaseCount {
    /// A phase among all: `2 of 5`.
    struct Place: Sendable {
        let number, total: Int
        var text: String { "\(number) of \(total)" }

        /// An estimate of the time that the phases after this one take, from the time that the work so far took.
        ///
        /// - Parameters:
        ///   - share: how much of this phase is done.
        ///   - elapsed: how long that took.
        func secondsBehind(share: Double, elapsed: Double) -> Double {
            PhaseCount.state.withLock { state in
                let cost = state.finishedCost + share * state.costs[number - 1]
                guard cost > 0 else { return 0 }
                return state.costs[number...].reduce(0, +) * (state.finishedSeconds + elapsed) / cost
            }
        }

        /// Notes that the phase is over. One that took no time had its results from an earlier run.
        func finish(seconds: Double) {
            guard seconds > 0.05 else { return }
            PhaseCount.state.withLock { state in
                state.finishedCost += state.costs[number - 1]
                state.finishedSeconds += seconds
            }
        }
    }

    private struct State {
        var costs: [Double] = []
        var begun = 0
        var finishedCost = 0.0, finishedSeconds = 0.0
    }

    private static let state = Mutex(State())

    /// Announces the phases of a command.
    static func expect(_ amounts: [WorkAmount]) { state.withLock { $0 = State(costs: amounts.map(\.cost)) } }

    /// The next phase; `nil` where none were announced.
    static func next() -> Place? {
        state.withLock { state in
            guard state.costs.count > 1, state.begun < state.costs.count else { return nil }
            state.begun += 1
            return Place(number: state.begun, total: state.costs.count)
        }
    }
}
