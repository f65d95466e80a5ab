/// Which rank each matrix of an adapter gets.
public struct RankChoice: Sendable, Equatable {
    /// The highest rank.
    public let highest: Int
    /// The share of the squared norm of a difference that the change has to hold; fewer ranks than the highest are used
    /// if they hold it. `nil` for the same rank everywhere.
    public let energy: Double?
    /// Whether a change may hold less than the share if it has the highest rank.
    public let allowsLess: Bool

    /// The highest rank when only an energy is given; serving programs accept no higher ones.
    public static let highestByEnergy = 512

    /// The same rank for every matrix; with an energy, at most this rank.
    ///
    /// - Precondition: the rank is positive.
    public init(rank: Int, energy: Double? = nil) {
        precondition(rank > 0)
        highest = rank
        self.energy = energy
        allowsLess = true
    }

    /// The smallest rank for every matrix that holds this share.
    public init(energy: Double) {
        highest = RankChoice.highestByEnergy
        self.energy = energy
        allowsLess = false
    }

    /// How many singular values are taken, given all squared ones with the largest first.
    func count(of values: [Double], total: Double) -> Int {
        let most = min(highest, values.count)
        guard let energy else { return most }
        var sum = 0.0
        for index in 0..<most {
            sum += values[index]
            if sum >= energy * total { return index + 1 }
        }
        return most
    }
}
