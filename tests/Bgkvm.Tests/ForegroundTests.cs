using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace Bgkvm.Tests;

/// <summary><c>start --foreground</c>: an instance as a service manager runs it. Only the machine in it is a fake.</summary>
public sealed class ForegroundTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task It_says_when_it_is_ready_and_ends_with_its_guest(bool isAbstract)
    {
        await using Sandbox sandbox = new();
        using Socket manager = Listen(sandbox, out string socket, isAbstract);
        using Process service = Begin(sandbox, socket, "");

        Assert.Equal("READY=1", await Receive(manager));
        Assert.Equal(service.Id, await sandbox.Pid());
        Assert.Equal(new Outcome(0, "", ""), await sandbox.Fake("stop", "demo"));
        Assert.Equal("STOPPING=1", await Receive(manager));
        Assert.Equal(new Outcome(0, "", ""), await Sandbox.Finish(service, ""));
        Assert.Contains("demo has powered off", (await sandbox.Fake("logs", "demo")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_termination_signal_presses_the_power_button()
    {
        await using Sandbox sandbox = new();
        using Socket manager = Listen(sandbox, out string socket);
        using Process service = Begin(sandbox, socket, "");
        Assert.Equal("READY=1", await Receive(manager));
        using (Process kill = Process.Start("kill", ["-TERM", service.Id.ToString(provider: null)]))
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(new Outcome(0, "", ""), await Sandbox.Finish(service, ""));
        Assert.Contains("Stopping on SIGTERM", (await sandbox.Fake("logs", "demo")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_that_cannot_start_says_why_and_leaves_nothing_behind()
    {
        await using Sandbox sandbox = new();
        Outcome refused = await Sandbox.Finish(Begin(sandbox, Path.Combine(sandbox.Home, "nobody"), "lack"), "");
        Assert.Equal((4, "this host has no time for this"), (refused.ExitCode, refused.ErrorLine));
        Assert.False(Directory.Exists(Path.Combine(sandbox.Home, "demo")));
    }

    [Fact]
    public async Task One_whose_machine_breaks_ends_with_an_error_that_names_the_log()
    {
        await using Sandbox sandbox = new();
        using Socket manager = Listen(sandbox, out string socket);
        using Process service = Begin(sandbox, socket, "");
        Assert.Equal("READY=1", await Receive(manager));
        _ = await sandbox.FakeWithInput("die", "console", "demo");
        Outcome broken = await Sandbox.Finish(service, "");
        Assert.Equal((1, $"the machine of demo broke: see {sandbox.InstancePath("bgkvm.log")}"), (broken.ExitCode, broken.ErrorLine));
        Assert.True(File.Exists(sandbox.InstancePath("config.json")));
    }

    private static Process Begin(Sandbox sandbox, string notify, string behaviour) => sandbox.Begin(
        "/usr/bin/env", $"NOTIFY_SOCKET={notify}", Environment.ProcessPath!, "start", "demo", "--disk", sandbox.Disk, "--kernel", sandbox.Kernel,
        "--append", behaviour, "--foreground");

    /// <summary>A service manager's end, and what NOTIFY_SOCKET says of it.</summary>
    private static Socket Listen(Sandbox sandbox, out string socket, bool isAbstract = false)
    {
        string path = Path.Combine(sandbox.Home, "notify");
        socket = isAbstract ? '@' + path : path;
        Socket manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(isAbstract ? '\0' + path : path));
        return manager;
    }

    private static async Task<string> Receive(Socket manager)
    {
        byte[] datagram = new byte[256];
        int length = await manager.ReceiveAsync(datagram, TestContext.Current.CancellationToken).AsTask().WaitAsync(TimeSpan.FromMinutes(2));
        return Encoding.UTF8.GetString(datagram, 0, length);
    }
}
