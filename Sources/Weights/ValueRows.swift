package import Checkpoints

/// Computed rows that can provide f32 values for part of their columns, without computing whole rows.
package protocol ValueRows: RowSource {
    /// Writes the values of some rows and columns in f32, row after row.
    ///
    /// - Returns: false when nothing was written, because the source can only write whole encoded rows.
    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool
}
