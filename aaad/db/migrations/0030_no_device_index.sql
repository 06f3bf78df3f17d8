-- Who has a device, whatever his login, only operators ask. The index of logins and their devices is read whole for that,
-- which is small beside the table. One of its own cost every session that begins a tenth of its row, and more as it grew.
DROP INDEX net.session_mac;
