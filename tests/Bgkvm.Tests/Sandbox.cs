using System.Diagnostics;
using System.Text.Json.Nodes;
using Bgkvm.Control;
using Cloning.Instances;

namespace Bgkvm.Tests;

/// <summary>A home for instances that vanishes, with every process that lives in it.</summary>
internal sealed class Sandbox : IAsyncDisposable
{
    /// <summary>Set, this executable is a bgkvm with fake instances.</summary>
    public const string FakeVariable = "BGKVM_TEST_FAKE";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    public Sandbox()
    {
        Home = Directory.CreateTempSubdirectory("bgkvm-").FullName;
        Disk = Path.Combine(Home, "system.img");
        Kernel = Path.Combine(Home, "vmlinuz");
        File.WriteAllBytes(Disk, new byte[4096]);
        File.WriteAllBytes(Kernel, new byte[64]);
    }

    /// <summary>The bgkvm under test: the one beside the tests, or the published one that BGKVM_TEST_BINARY names.</summary>
    public static string RealPath { get; } =
        Environment.GetEnvironmentVariable("BGKVM_TEST_BINARY") ?? Path.Combine(AppContext.BaseDirectory, "bgkvm");

    public string Home { get; }

    /// <summary>A file to name as a system disk.</summary>
    public string Disk { get; }

    /// <summary>A file to name as a kernel.</summary>
    public string Kernel { get; }

    public string InstancePath(string file, string name = "demo") => Path.Combine(Home, name, file);

    /// <summary>Runs the bgkvm that was built, to its end.</summary>
    public Task<Outcome> Real(params string[] args) => Finish(Begin(RealPath, args), input: "");

    /// <summary>Runs a bgkvm with fake instances, to its end.</summary>
    public Task<Outcome> Fake(params string[] args) => FakeWithInput("", args);

    /// <summary>Runs a bgkvm with fake instances, to its end.</summary>
    public Task<Outcome> FakeWithInput(string input, params string[] args) => Finish(BeginFake(args), input);

    /// <summary>Starts a bgkvm with fake instances.</summary>
    public Process BeginFake(params string[] args) => Begin(Environment.ProcessPath!, args);

    /// <summary>Starts an instance in the background.</summary>
    public async Task Boot(string behaviour = "", string name = "demo")
    {
        Outcome start = await Fake("start", name, "--disk", Disk, "--kernel", Kernel, "--append", behaviour, "--detach");
        Assert.True(start.ExitCode == 0, start.Error);
    }

    public async Task<JsonNode> Status(string name = "demo") =>
        JsonNode.Parse((await Fake("status", name, "--json")).Output)!;

    public static async Task<Outcome> Finish(Process process, string input)
    {
        using (process)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
            await process.WaitForExitAsync().WaitAsync(s_patience);
            return new Outcome(process.ExitCode, await output, await error);
        }
    }

    public Process Begin(string program, params string[] args)
    {
        ProcessStartInfo start = new(program, args)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["BGKVM_HOME"] = Home;
        start.Environment[FakeVariable] = "1";
        return Process.Start(start)!;
    }

    /// <summary>The process of an instance that runs.</summary>
    public async Task<int> Pid()
    {
        using ControlClient client = new(new InstanceDirectory(Path.Combine(Home, "demo")));
        return (await client.StatusAsync()).Pid!.Value;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Process process in Process.GetProcesses())
        {
            using (process)
            {
                try
                {
                    string environment = await File.ReadAllTextAsync($"/proc/{process.Id}/environ");
                    if (!environment.Contains($"BGKVM_HOME={Home}\0", StringComparison.Ordinal)) continue;
                    process.Kill();
                    await process.WaitForExitAsync();
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException)
                {
                    // It has just ended by itself, or is nobody's business.
                }
            }
        }

        Directory.Delete(Home, recursive: true);
    }
}
