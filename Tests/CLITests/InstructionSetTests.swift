import TestSupport
import Testing

@Suite("the instruction set that RESECT_CPU names")
struct InstructionSetTests {
    private static let model = Fixture.path("kjv-7m")

    @Test("a name that is none is refused")
    func unknown() throws {
        let folder = TemporaryFolder()
        let outcome = try Program.shell("RESECT_CPU=v9 resect inspect \(InstructionSetTests.model)", in: folder)
        #expect(outcome.status == 2)
        #expect(outcome.output.contains("RESECT_CPU: 'v9' is not an instruction set of this CPU"))
        #expect(outcome.output.contains("available: baseline"))
    }

    @Test("the oldest one is used where it is asked for, though the machine multiplies bf16")
    func forced() throws {
        let folder = TemporaryFolder()
        let command =
            "RESECT_CPU=baseline resect evaluate \(InstructionSetTests.model) --corpus "
            + "\(Fixture.path("evaluation.txt")) --context 64 --samples 1 --json --quiet --precision"
        let rounded = try Program.shell("\(command) bf16", in: folder)
        #expect(rounded.status == 0 && rounded.output.contains("nll"))
        #expect(rounded.output == (try Program.shell("\(command) f32", in: folder)).output)
    }

    @Test("an extracted adapter does not depend on it, nor on the number of threads")
    func sameAdapter() throws {
        let folder = TemporaryFolder()
        let model = InstructionSetTests.model
        #expect(try Program.shell("resect quantize \(model) -o q.gguf --type Q4_0 --quiet", in: folder).status == 0)
        for (cpu, threads) in [("baseline", 1), ("best", 2)] {
            let setting = cpu == "best" ? "" : "RESECT_CPU=\(cpu) "
            let outcome = try Program.shell(
                "\(setting)resect extract \(model) q.gguf -o \(cpu) --rank 4 --threads \(threads) --quiet", in: folder)
            #expect(outcome.status == 0, "\(outcome.output)")
        }
        #expect(try Program.shell("diff -r baseline best", in: folder).status == 0)
    }

    @Test("a quantized file does not depend on it", arguments: ["Q4_K_M", "Q4_0"])
    func sameBytes(type: String) throws {
        let folder = TemporaryFolder()
        for cpu in ["baseline", "best"] {
            let setting = cpu == "best" ? "" : "RESECT_CPU=\(cpu) "
            let outcome = try Program.shell(
                "\(setting)resect quantize \(InstructionSetTests.model) -o \(cpu).gguf --type \(type) --quiet",
                in: folder)
            #expect(outcome.status == 0, "\(outcome.output)")
        }
        #expect(try Program.shell("cmp baseline.gguf best.gguf", in: folder).status == 0)
    }
}
