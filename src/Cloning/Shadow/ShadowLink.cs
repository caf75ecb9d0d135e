using System.Buffers.Binary;
using System.Text.Json;
using Kvm.Interop;

namespace Cloning.Shadow;

/// <summary>One end of the socket pair between an instance and its shadow: length-prefixed JSON messages with descriptors beside them.</summary>
/// <param name="socket">A connected stream socket; owned.</param>
public sealed class ShadowLink(SafeFd socket) : IDisposable
{
    private const int MaxMessage = 16 << 20;

    /// <summary>Sends one message. One thread at a time.</summary>
    /// <exception cref="IOException">The other end is gone.</exception>
    public void Send(ShadowMessage message, params ReadOnlySpan<SafeFd> descriptors)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(message, CloningJson.Default.ShadowMessage);
        byte[] framed = new byte[sizeof(int) + body.Length];
        BinaryPrimitives.WriteInt32LittleEndian(framed, body.Length);
        body.CopyTo(framed, sizeof(int));
        UnixSocket.Send(socket, framed, descriptors);
    }

    /// <summary>Waits for one message.</summary>
    /// <param name="descriptors">What came beside it; the caller owns them.</param>
    /// <returns>Null when the other end has closed.</returns>
    /// <exception cref="IOException">The other end broke off inside a message, or sent nonsense.</exception>
    public ShadowMessage? Receive(List<SafeFd> descriptors)
    {
        byte[] header = new byte[sizeof(int)];
        int got = UnixSocket.Receive(socket, header, descriptors);
        if (got == 0) return null;
        if (got < header.Length) throw new IOException("The other process broke off inside a message");
        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is < 0 or > MaxMessage) throw new IOException($"A message claims to be {length} bytes long");
        byte[] body = new byte[length];
        if (UnixSocket.Receive(socket, body, descriptors) < length)
            throw new IOException("The other process broke off inside a message");
        try
        {
            return JsonSerializer.Deserialize(body, CloningJson.Default.ShadowMessage);
        }
        catch (JsonException e)
        {
            throw new IOException("The other process sent something that is no message", e);
        }
    }

    /// <summary>Closes this end; the other one sees it at once.</summary>
    public void Dispose() => socket.Dispose();
}
