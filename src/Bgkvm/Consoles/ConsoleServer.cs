using System.Net.Sockets;
using Cloning.Instances;

namespace Bgkvm.Consoles;

/// <summary>The console socket: the serial line's raw bytes both ways, for any number of clients at once.</summary>
internal sealed class ConsoleServer : IAsyncDisposable, IDisposable
{
    private const int ReplayBytes = 4096, PendingBytes = 256 * 1024, ChunkBytes = 16 * 1024;
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(2), s_linger = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_again = TimeSpan.FromMilliseconds(100);

    private readonly IConsole _console;
    private readonly Socket _listener;
    private readonly Lock _gate = new();
    private readonly HashSet<Client> _clients = [];
    private readonly Task _accepting;

    private ConsoleServer(Socket listener, IConsole console)
    {
        _console = console;
        _listener = listener;
        _accepting = AcceptAsync();
    }

    /// <summary>Starts serving.</summary>
    /// <param name="socketPath">Where. A socket left over there is removed: the caller holds the instance's lock.</param>
    /// <param name="console">The console.</param>
    public static ConsoleServer Start(string socketPath, IConsole console)
    {
        File.Delete(socketPath);
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socketPath));
        File.SetUnixFileMode(socketPath, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        listener.Listen();
        return new ConsoleServer(listener, console);
    }

    /// <summary>Sends every client what is left for it and closes.</summary>
    public async ValueTask DisposeAsync()
    {
        _listener.Dispose();
        await _accepting;
        Client[] clients;
        lock (_gate) clients = [.. _clients];
        foreach (Client client in clients) client.Output.Complete();
        Task sent = Task.WhenAll(clients.Select(client => client.Sending));
        // A client that has stopped reading must not keep a dead instance alive.
        await Task.WhenAny(sent, Task.Delay(s_lastWords));
        foreach (Client client in clients) client.Socket.Dispose();
    }

    /// <summary>The same, for who has nothing else to do meanwhile.</summary>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private async Task AcceptAsync()
    {
        // The thread behind every timer is made with the first one, and that takes descriptors.
        _ = Task.Delay(1);
        while (true)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync();
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: SocketError.OperationAborted })
            {
                return;
            }
            catch (SocketException)
            {
                // Out of descriptors, mostly. Who wants to attach waits in the listener's queue until there are some again, and
                // no event tells when.
                await Task.Delay(s_again);
                continue;
            }

            Client client = new(socket, new OutputBuffer(PendingBytes));
            lock (_gate) _clients.Add(client);
            client.Sending = SendAsync(client);
            _ = ServeAsync(client);
        }
    }

    /// <summary>One client, from its first byte to its last.</summary>
    private async Task ServeAsync(Client client)
    {
        using (_console.Attach(output => client.Output.Append(output.Span), ReplayBytes))
        {
            // One that has said everything still gets the replay and a first answer. Nothing tells when an answer is whole.
            if (await ReceiveAsync(client)) await Task.Delay(s_linger);
            client.Output.Complete();
        }

        await client.Sending;
        lock (_gate) _clients.Remove(client);
        client.Socket.Dispose();
    }

    /// <summary>Hands a client's input to the guest.</summary>
    /// <returns>Whether it ended properly.</returns>
    private async Task<bool> ReceiveAsync(Client client)
    {
        byte[] buffer = new byte[ChunkBytes];
        try
        {
            while (await client.Socket.ReceiveAsync(buffer) is > 0 and int count) _console.Write(buffer.AsSpan(0, count));
            return true;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    private static async Task SendAsync(Client client)
    {
        byte[] buffer = new byte[ChunkBytes];
        try
        {
            while (await client.Output.ReadAsync(buffer) is > 0 and int count)
                for (int sent = 0; sent < count;) sent += await client.Socket.SendAsync(buffer.AsMemory(sent, count - sent));
            client.Socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Nobody reads any more.
        }
    }

    private sealed class Client(Socket socket, OutputBuffer output)
    {
        public Socket Socket { get; } = socket;
        public OutputBuffer Output { get; } = output;
        public Task Sending { get; set; } = Task.CompletedTask;
    }
}
