using System.Text.Json.Nodes;

namespace Bgkvm.Tests;

/// <summary>What <c>doctor</c> says and what <c>start</c> does are the same.</summary>
public sealed class HostTests
{
    [Fact]
    public async Task Doctor_and_start_agree()
    {
        await using Sandbox sandbox = new();
        Outcome doctor = await sandbox.Real("doctor", "--json");
        JsonNode report = JsonNode.Parse(doctor.Output)!;
        bool able = (bool)report["verdict"]!["linuxCanRun"]!;
        Assert.Equal(able ? 0 : 4, doctor.ExitCode);
        Assert.All(report["checks"]!.AsArray(), check => Assert.Contains((string?)check!["status"], (string?[])["ok", "warn", "fail"]));

        Outcome start = await sandbox.Real("start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel, "--detach");

        // The file given as a kernel is none, so that no guest runs in either case.
        Assert.Equal(able ? 1 : 4, start.ExitCode);
        Assert.Contains(able ? sandbox.Kernel : (string)report["verdict"]!["reason"]!, start.ErrorLine, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(sandbox.Home, "demo")));

        Outcome plain = await sandbox.Real("doctor");
        Assert.Contains((string)report["verdict"]!["reason"]!, plain.Output, StringComparison.Ordinal);
    }
}
