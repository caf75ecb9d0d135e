namespace Vmm.Devices;

/// <summary>Bits of the registers of a PC16550D (National Semiconductor's data sheet, table II).</summary>
internal static class Uart16550
{
    public const byte IerReceived = 0x01, IerTransmitted = 0x02, IerLineStatus = 0x04, IerModemStatus = 0x08;
    public const byte IerAll = 0x0F;
    public const byte IirNone = 0x01, IirModemStatus = 0x00, IirTransmitted = 0x02, IirReceived = 0x04;
    public const byte IirLineStatus = 0x06, IirTimeout = 0x0C, IirFifosEnabled = 0xC0;
    public const byte FcrEnable = 0x01, FcrClearReceiver = 0x02, FcrKept = 0xC9;
    public const byte LcrDivisorLatch = 0x80;
    public const byte McrDtr = 0x01, McrRts = 0x02, McrOut1 = 0x04, McrOut2 = 0x08, McrLoop = 0x10, McrAll = 0x1F;
    public const byte LsrDataReady = 0x01, LsrOverrun = 0x02, LsrBreak = 0x10, LsrTransmitterIdle = 0x60;
    public const byte MsrCts = 0x10, MsrDsr = 0x20, MsrRing = 0x40, MsrCarrier = 0x80;
    public const byte MsrDeltaCts = 0x01, MsrDeltaDsr = 0x02, MsrTrailingRing = 0x04, MsrDeltaCarrier = 0x08;
}
