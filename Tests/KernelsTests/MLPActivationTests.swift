import CKernels
import Testing
import TestSupport

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("activations of MLPs and layer norms")
struct MLPActivationTests {
    /// A function and its slope, in f64.
    struct Known: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let value: @Sendable (Double) -> Double
        let apply: @Sendable (UnsafeMutablePointer<Float>, Int) -> Void
        let gated: @Sendable (UnsafeMutablePointer<Float>, UnsafePointer<Float>, Int) -> Void
        let backward:
            @Sendable (UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int) -> Void
    }

    static let known = [
        Known(
            testDescription: "silu", value: { $0 / (1 + exp(-$0)) }, apply: { resect_silu($0, $1) },
            gated: { resect_silu_times($0, $1, $2) }, backward: { resect_silu_backward($0, $1, $2, $3) }),
        Known(
            testDescription: "gelu", value: { 0.5 * $0 * (1 + erf($0 / 2.0.squareRoot())) },
            apply: { resect_gelu($0, $1) }, gated: { resect_gelu_times($0, $1, $2) },
            backward: { resect_gelu_backward($0, $1, $2, $3) }),
        Known(
            testDescription: "gelu_tanh",
            value: { 0.5 * $0 * (1 + tanh((2 / Double.pi).squareRoot() * ($0 + 0.044715 * $0 * $0 * $0))) },
            apply: { resect_gelu_tanh($0, $1) }, gated: { resect_gelu_tanh_times($0, $1, $2) },
            backward: { resect_gelu_tanh_backward($0, $1, $2, $3) }),
        Known(
            testDescription: "relu2", value: { max($0, 0) * max($0, 0) }, apply: { resect_relu2($0, $1) },
            gated: { resect_relu2_times($0, $1, $2) }, backward: { resect_relu2_backward($0, $1, $2, $3) }),
    ]

    private static let inputs = (-400...400).map { Float($0) * 0.0317 } + [-1e4, -90, 90, 1e4, 1e-7, 0]

    @Test("values and slopes are those of f64", arguments: known)
    func values(known: Known) {
        let inputs = MLPActivationTests.inputs
        var values = inputs, gated = inputs, slopes = inputs, kept = inputs
        let up = inputs.map { $0 > 0 ? Float(1.5) : -0.5 }, ones = inputs.map { _ in Float(1) }
        known.apply(&values, values.count)
        known.gated(&gated, up, gated.count)
        known.backward(&slopes, ones, &kept, kept.count)
        for (index, x) in inputs.enumerated() {
            let expected = known.value(Double(x)), bound = 4e-7 * max(abs(expected), abs(Double(x)), 1e-3)
            #expect(abs(Double(values[index]) - expected) <= bound, "\(x) \(values[index]) \(expected)")
            #expect(abs(Double(gated[index]) - expected * Double(up[index])) <= 2 * bound)
            #expect(kept[index] == values[index])
            let step = max(1e-5, abs(Double(x)) * 1e-5)
            let slope = (known.value(Double(x) + step) - known.value(Double(x) - step)) / (2 * step)
            #expect(abs(Double(slopes[index]) - slope) <= 2e-5 * max(1, abs(slope)), "\(x) \(slopes[index]) \(slope)")
        }
    }

    @Test("a soft cap bounds values and passes small ones on, and its slope is that of f64")
    func cap() {
        let inputs = MLPActivationTests.inputs
        var capped = inputs, gradient = inputs.map { _ in Float(1) }
        resect_soft_cap(&capped, capped.count, 0.25, 30)
        resect_soft_cap_backward(&gradient, capped, capped.count, 0.25, 30)
        for (index, x) in inputs.enumerated() {
            let t = tanh(Double(x) * 0.25 / 30)
            #expect(abs(Double(capped[index]) - 30 * t) <= 30 * 2e-7)
            #expect(abs(Double(gradient[index]) - 0.25 * (1 - t * t)) <= 1e-6)
        }
    }

    @Test("a layer norm and its backward pass are those of f64", arguments: [1, 15, 16, 100])
    func layerNorm(count: Int) {
        var random = SeededGenerator(seed: 3)
        let x = random.floats(count, scale: 2).map { $0 + 3 }, weight = random.floats(count),
            bias = random.floats(count)
        func norm(_ x: [Double]) -> [Double] {
            let mean = x.reduce(0, +) / Double(count)
            let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(count)
            return x.indices.map {
                (x[$0] - mean) / (variance + 1e-5).squareRoot() * Double(weight[$0]) + Double(bias[$0])
            }
        }
        var output = x
        resect_layer_norm(x, weight, bias, &output, count, 1e-5)
        let wide = x.map(Double.init), expected = norm(wide)
        for (a, b) in zip(output, expected) { #expect(abs(Double(a) - b) <= 2e-6 * max(1, abs(b))) }
        let gradient = random.floats(count)
        var found = Array(repeating: Float(0), count: count)
        resect_layer_norm_backward(x, weight, gradient, &found, count, 1e-5)
        func loss(_ x: [Double]) -> Double { zip(norm(x), gradient).reduce(0) { $0 + $1.0 * Double($1.1) } }
        for index in 0..<count {
            var (ahead, behind) = (wide, wide)
            ahead[index] += 1e-5
            behind[index] -= 1e-5
            let slope = (loss(ahead) - loss(behind)) / 2e-5
            #expect(abs(Double(found[index]) - slope) <= 1e-4 * max(1, abs(slope)))
        }
    }
}
