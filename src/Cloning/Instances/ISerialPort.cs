namespace Cloning.Instances;

/// <summary>The guest's end of the serial line, as the console needs it.</summary>
public interface ISerialPort
{
    /// <summary>Queues input for the guest.</summary>
    void Receive(ReadOnlySpan<byte> input);

    /// <summary>Queues a BREAK, in order with the input.</summary>
    void SendBreak();
}
