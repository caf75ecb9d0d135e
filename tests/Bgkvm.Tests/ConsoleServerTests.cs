using System.Net.Sockets;
using System.Text;
using Bgkvm.Consoles;
using Bgkvm.Tests.Fakes;

namespace Bgkvm.Tests;

public sealed class ConsoleServerTests : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly TempDirectory _temp = new();
    private readonly FakeConsole _console = new();
    private readonly ConsoleServer _server;

    public ConsoleServerTests() => _server = ConsoleServer.Start(SocketPath, _console);

    private string SocketPath => Path.Combine(_temp.Path, "console.sock");

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _temp.Dispose();
    }

    [Fact]
    public async Task Attaching_shows_the_last_4_KiB_and_then_what_comes()
    {
        _console.Print(new string('a', 5000) + "login: ");
        using Socket client = await Attach();
        Assert.Equal(new string('a', 4096 - 7) + "login: ", await Read(client, 4096));
        _console.Print("more");
        Assert.Equal("more", await Read(client, 4));
    }

    [Fact]
    public async Task Every_client_types_and_everyone_sees_it()
    {
        using Socket one = await Attach(), two = await Attach();
        _console.Print("#");
        Assert.Equal("#", await Read(one, 1));
        Assert.Equal("#", await Read(two, 1));
        await one.SendAsync("ls\r"u8.ToArray());
        Assert.Equal("LS\r", await Read(two, 3));
        await two.SendAsync("\0\u0003ÿ"u8.ToArray());
        Assert.Equal("LS\r\0\u0003", (await Read(one, 5)));
    }

    [Fact]
    public async Task One_that_says_no_more_gets_what_there_is_and_the_end()
    {
        _console.Print("login: ");
        using Socket client = await Attach();
        await client.SendAsync("root\r"u8.ToArray());
        client.Shutdown(SocketShutdown.Send);
        Assert.Equal("login: ROOT\r", await ReadToEnd(client));
    }

    [Fact]
    public async Task One_that_does_not_read_holds_up_nobody()
    {
        using Socket lazy = await Attach(), eager = await Attach();
        _console.Print("#");
        Assert.Equal("#", await Read(eager, 1));
        Task drained = ReadUntil(eager, "end");
        // More than every buffer on the lazy one's way can hold: had the console to wait for it, this would not return.
        string line = new('x', 1000);
        await Task.Run(() =>
        {
            for (int i = 0; i < 4000; i++) _console.Print(line);
            _console.Print("end");
        }, TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        await drained;
    }

    [Fact]
    public async Task One_that_leaves_is_forgotten()
    {
        using (Socket client = await Attach()) Assert.Equal(1, _console.Attached);
        for (DateTime limit = DateTime.UtcNow + s_patience; _console.Attached > 0; await Task.Delay(10, TestContext.Current.CancellationToken))
            Assert.True(DateTime.UtcNow < limit);
    }

    [Fact]
    public async Task The_end_of_the_instance_comes_after_its_last_words()
    {
        using Socket client = await Attach();
        _console.Print("Power down");
        await _server.DisposeAsync();
        Assert.Equal("Power down", await ReadToEnd(client));
    }

    [Fact]
    public void Socket_is_private() =>
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));

    /// <summary>Attaches, and waits until the server has noticed.</summary>
    private async Task<Socket> Attach()
    {
        int before = _console.Attached;
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath));
        for (DateTime limit = DateTime.UtcNow + s_patience; _console.Attached == before; await Task.Delay(5)) Assert.True(DateTime.UtcNow < limit);
        return socket;
    }

    private static async Task<string> Read(Socket socket, int count)
    {
        byte[] buffer = new byte[count];
        for (int got = 0; got < count;)
        {
            int more = await socket.ReceiveAsync(buffer.AsMemory(got)).AsTask().WaitAsync(s_patience);
            Assert.NotEqual(0, more);
            got += more;
        }

        return Encoding.Latin1.GetString(buffer);
    }

    private static async Task<string> ReadToEnd(Socket socket)
    {
        byte[] buffer = new byte[4096];
        string all = "";
        while (await socket.ReceiveAsync(buffer).WaitAsync(s_patience) is > 0 and int count)
            all += Encoding.Latin1.GetString(buffer, 0, count);
        return all;
    }

    private static async Task ReadUntil(Socket socket, string end)
    {
        byte[] buffer = new byte[64 * 1024];
        string tail = "";
        while (!tail.EndsWith(end, StringComparison.Ordinal))
        {
            int count = await socket.ReceiveAsync(buffer).WaitAsync(s_patience);
            Assert.NotEqual(0, count);
            tail = (tail + Encoding.Latin1.GetString(buffer, 0, count))[^Math.Min(end.Length, tail.Length + count)..];
        }
    }
}
