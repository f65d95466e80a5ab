/// The part of a stored tensor that is a role: the tensor's name, and the rows in order.
///
/// The rows of the stored tensor form a grid of `dims`. A part of one axis can be selected, and the remaining axes can
/// be reordered: `[heads, 3, head_size]` with index 0 of axis 1 selects the queries of a fused weight. A stored tensor
/// that several roles name consists of the rows of all of them, each at its place in the grid.
package struct TensorPart: Sendable, Equatable {
    /// The names that the stored tensor may have; the first is written.
    package let names: [NameTemplate]
    /// The grid of rows; empty when the part is the whole tensor.
    package let dims: [Axis]
    /// The selection on one axis; `nil` for all of it.
    package let taken: (axis: Int, part: Taken)?
    /// The remaining axes in the order of the role; empty when the order is unchanged.
    package let order: [Int]
    /// The role of the head count when rotary pairs are stored as neighbours; `nil` when they are stored as halves.
    package let pairedHeads: String?
    /// Whether the matrix is stored with its columns as rows; the grid is that of the role's rows.
    package let isTransposed: Bool
    /// What is added to the stored values to get those of the role: 1 where a norm is stored as its distance from 1.
    package let adds: Int

    /// An axis of the grid: a number of rows, or several named runs of them.
    package enum Axis: Sendable, Equatable {
        /// A fixed number.
        case extent(Extent)
        /// The lengths of runs of rows that follow each other.
        case runs([Extent])
    }

    /// A selection on an axis.
    package enum Taken: Sendable, Equatable {
        /// One index; the result does not have the axis.
        case index(Int)
        /// One of the runs; the result has the axis.
        case run(Int)
    }

    /// Reads a part. A text is the name of a stored tensor that is the whole role; a list has several names for it.
    init(_ value: JSON, _ name: String, prefixes: [String]) throws(DataFileError) {
        if value.object == nil {
            guard let texts = value.string.map({ [$0] }) ?? value.array?.compactMap(\.string), !texts.isEmpty else {
                throw DataFileError(name, "is neither a name, a list of names nor an object")
            }
            names = texts.flatMap { TensorPart.names($0, prefixes) }
            (dims, taken, order, pairedHeads, isTransposed, adds) = ([], nil, [], nil, false, 0)
            return
        }
        var reader = try MemberReader(value, name)
        names = TensorPart.names(try reader.string("of"), prefixes)
        let axes = reader.optional("dims")?.array ?? []
        dims = try axes.map { (axis) throws(DataFileError) in
            if let runs = axis.array {
                return .runs(try runs.map { (run) throws(DataFileError) in try Extent(run, reader.path("dims")) })
            }
            return .extent(try Extent(axis, reader.path("dims")))
        }
        taken = try TensorPart.taken(try reader.members("take"), dims, reader)
        let order = reader.optional("order")?.array ?? []
        self.order = order.compactMap(\.int)
        var left = dims.count
        if case .index = taken?.part { left -= 1 }
        guard self.order.count == order.count, order.isEmpty || self.order.sorted() == Array(0..<left) else {
            throw reader.wrong("order", "is not an order of the \(left) remaining axes")
        }
        pairedHeads = try reader.optionalString("paired_heads")
        guard pairedHeads == nil || dims.isEmpty else {
            throw reader.wrong("paired_heads", "and 'dims' exclude each other")
        }
        isTransposed = try reader.flag("transposed")
        let adds = reader.optional("adds")?.int ?? 0
        guard adds != 0 || reader.optional("adds") == nil else { throw reader.wrong("adds", "is not a whole number") }
        self.adds = adds
        try reader.finish()
    }

    private static func names(_ text: String, _ prefixes: [String]) -> [NameTemplate] {
        guard text.hasPrefix("{p}") else { return [NameTemplate(text)] }
        return prefixes.map { NameTemplate($0 + text.dropFirst(3)) }
    }

    private static func taken(
        _ members: [(String, JSON)], _ dims: [Axis], _ reader: MemberReader
    ) throws(DataFileError) -> (axis: Int, part: Taken)? {
        guard let (key, value) = members.first else { return nil }
        guard members.count == 1, let axis = Int(key), dims.indices.contains(axis) else {
            throw reader.wrong("take", "names no axis of \(dims.count), or several")
        }
        if let index = value.int { return (axis, .index(index)) }
        let wanted = try Extent(value, reader.path("take"))
        guard case .runs(let runs) = dims[axis], let run = runs.firstIndex(of: wanted) else {
            throw reader.wrong("take", "is neither an index nor one of the runs of the axis")
        }
        guard runs.count(where: { $0 == wanted }) == 1 else {
            throw reader.wrong("take", "is the length of several runs of the axis, which have to differ")
        }
        return (axis, .run(run))
    }

    /// Whether both are equal.
    package static func == (a: TensorPart, b: TensorPart) -> Bool {
        a.names == b.names && a.dims == b.dims && a.order == b.order && a.pairedHeads == b.pairedHeads
            && a.taken?.axis == b.taken?.axis && a.taken?.part == b.taken?.part
            && a.isTransposed == b.isTransposed && a.adds == b.adds
    }

    /// The required setting roles.
    package var roles: [String] {
        let extents = dims.flatMap { axis in
            switch axis {
            case .extent(let extent): [extent]
            case .runs(let runs): runs
            }
        }
        return extents.flatMap(\.roles) + (pairedHeads.map { [$0] } ?? [])
    }
}

/// A length: a number, a setting, or a product of these, `heads*key_size`.
package struct Extent: Sendable, Equatable {
    /// A factor of the product.
    package enum Factor: Sendable, Equatable {
        /// A number.
        case number(Int)
        /// The value of a setting.
        case setting(String)
    }

    /// The factors.
    package let factors: [Factor]

    /// Reads a number, a role, or a product.
    init(_ value: JSON, _ name: String) throws(DataFileError) {
        if let number = value.int, number > 0 {
            factors = [.number(number)]
            return
        }
        guard let text = value.string, !text.isEmpty else { throw DataFileError(name, "is not a length") }
        factors = text.split(separator: "*").map { part in
            Int(part).map(Factor.number) ?? .setting(String(part))
        }
    }

    /// The required setting roles.
    package var roles: [String] {
        factors.compactMap { if case .setting(let role) = $0 { role } else { nil } }
    }
}
